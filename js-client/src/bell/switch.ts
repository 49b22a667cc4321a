import type { Push } from "../push/index.js";
import type { BellTexts } from "./element.js";
import { element } from "./dom.js";

/** How this browser can be notified without a page. */
export interface BellPush {
  /** The site's public key. */
  readonly key: string;
  /** Loads what does it, when it is needed. */
  readonly load: () => Promise<Push>;
}

/** In the browser's storage: for whom it was switched on, and with which key. */
const WANTED = "instant-push";

/** The bell's last row, where a user says whether this browser notifies them while no page is open. */
export class PushSwitch {
  readonly #push: BellPush;
  readonly #texts: BellTexts;
  readonly #button: HTMLButtonElement;
  readonly #note = element("p", { class: "why", id: "why", "aria-live": "polite" });
  readonly row: HTMLElement;
  #channel = "";
  #isBusy = false;

  constructor(push: BellPush, texts: BellTexts) {
    this.#push = push;
    this.#texts = texts;
    this.#button = element(
      "button",
      { class: "switch", type: "button", role: "switch", "aria-checked": "false", "aria-describedby": "why" },
      element("span", {}, texts.push ?? ""),
      element("span", { class: "track", "aria-hidden": "true" }),
    );
    this.row = element("div", { class: "push", hidden: "" }, this.#button, this.#note);
    this.#button.addEventListener("click", () => void this.#toggle());
  }

  /** Tells whether the browser can; one on a phone may want the site on its home screen first. */
  static isPossible(): boolean {
    return isSecureContext && "serviceWorker" in navigator && "PushManager" in window && "Notification" in window;
  }

  /** Shows what Django says of this browser, and renews what has ended without the user's doing. */
  is(channel: string, isOn: boolean): void {
    this.#channel = channel;
    this.row.hidden = false;
    if (this.#isBusy) return;
    const wanted = this.#wanted();
    this.#show(isOn && Notification.permission === "granted");
    if (wanted?.channel !== channel || Notification.permission !== "granted") return;
    if (!isOn || wanted.key !== this.#push.key) void this.#do(async (push) => { await push.renew(); return true; });
  }

  /** Takes back what the browser shows of those that were read, here or elsewhere. */
  async wereRead(ids?: readonly string[]): Promise<void> {
    if (this.#wanted()?.channel !== this.#channel) return;
    await this.#push.load().then((push) => push.close(ids)).catch(() => undefined);
  }

  async #toggle(): Promise<void> {
    if (this.#isBusy) return;
    if (this.#button.getAttribute("aria-checked") === "true") {
      await this.#do(async (push) => { await push.turnOff(); return false; });
    } else {
      await this.#do(async (push) => (await push.turnOn()) === "granted");
    }
  }

  /** Does it, remembers what came of it, and says why where nothing did. */
  async #do(work: (push: Push) => Promise<boolean>): Promise<void> {
    this.#isBusy = true;
    this.#button.setAttribute("aria-busy", "true");
    this.#note.textContent = "";
    try {
      const isOn = await work(await this.#push.load());
      remember(isOn ? { channel: this.#channel, key: this.#push.key } : undefined);
      this.#show(isOn);
    } catch {
      this.#note.textContent = this.#texts.notSwitched ?? "";
    }
    this.#isBusy = false;
    this.#button.removeAttribute("aria-busy");
  }

  #show(isOn: boolean): void {
    this.#button.setAttribute("aria-checked", String(isOn));
    const isDenied = Notification.permission === "denied";
    this.#note.textContent = isDenied ? (this.#texts.denied ?? "") : "";
  }

  #wanted(): { channel: string; key: string } | undefined {
    try {
      return JSON.parse(localStorage.getItem(WANTED) ?? "null") as { channel: string; key: string };
    } catch {
      return undefined;
    }
  }
}

function remember(wanted?: object): void {
  try {
    if (wanted) localStorage.setItem(WANTED, JSON.stringify(wanted));
    else localStorage.removeItem(WANTED);
  } catch {
    // then it isn't renewed by itself
  }
}
