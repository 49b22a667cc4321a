import type { Instant } from "../instant.js";
import type { Position } from "../types.js";
import { bellIcon, when, element } from "./dom.js";
import { Inbox, Refused, type BellUrls, type Notification } from "./inbox.js";
import { STYLE } from "./style.js";
import { PushSwitch, type BellPush } from "./switch.js";

/** What the bell says, in the language of the page. `{n}` is a number. */
export interface BellTexts {
  readonly title: string;
  readonly unread: string;
  readonly one: string;
  /** Of one in the list. */
  readonly mark: string;
  readonly all: string;
  readonly older: string;
  readonly none: string;
  readonly failed: string;
  readonly again: string;
  /** Where a browser can be notified without a page. */
  readonly push?: string;
  readonly denied?: string;
  readonly notSwitched?: string;
}

const PAGE = 20;
const MOST = 99;
/** Milliseconds after which it is asked without a connection. */
const PATIENCE = 2000;
/** In the browser's storage: the channel of the last user, on which the next page listens at once. */
const CHANNEL = "instant-bell";

/** Defines `<instant-bell>`: how many notifications are unread, and on a click which. */
export function defineBell(instant: Instant, urls: BellUrls, texts: BellTexts, push?: BellPush): void {
  if (customElements.get("instant-bell")) return;
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(STYLE);
  customElements.define(
    "instant-bell",
    class extends HTMLElement {
      readonly #inbox = new Inbox(urls);
      readonly #badge = element("span", { class: "badge", "aria-hidden": "true" });
      readonly #button = element("button", { class: "bell", type: "button", "aria-expanded": "false", "aria-controls": "panel" }, bellIcon(), this.#badge);
      readonly #said = element("span", { class: "hidden", role: "status" });
      readonly #all = element("button", { class: "quiet", type: "button" }, texts.all);
      readonly #body = element("div", { class: "body" });
      readonly #panel = element(
        "div",
        { class: "panel", id: "panel", role: "dialog", "aria-label": texts.title, tabindex: "-1", hidden: "" },
        element("div", { class: "head" }, element("h2", {}, texts.title), this.#all),
        this.#body,
      );
      readonly #switch = push && PushSwitch.isPossible() ? new PushSwitch(push, texts) : undefined;
      #ends: (() => void)[] = [];
      #timer: ReturnType<typeof setTimeout> | undefined;
      #channel = "";
      #isLive = false;
      #isListed = false;
      /** The number of the newest question about whose it is. */
      #asked = 0;

      constructor() {
        super();
        const root = this.attachShadow({ mode: "open" });
        root.adoptedStyleSheets = [sheet];
        if (this.#switch) this.#panel.append(this.#switch.row);
        root.append(this.#button, this.#panel, this.#said);
        this.#button.addEventListener("click", () => {
          if (this.#panel.hidden) this.#open();
          else this.#close();
        });
        this.#all.addEventListener("click", () => {
          void this.#try(this.#inbox.readAll());
          this.#panel.focus(); // the button goes
        });
        this.#panel.addEventListener("keydown", this.#move);
        root.addEventListener("keydown", (event) => {
          if ((event as KeyboardEvent).key !== "Escape" || this.#panel.hidden) return;
          event.stopPropagation();
          this.#close();
          this.#button.focus();
        });
        root.addEventListener("focusout", (event) => {
          const to = (event as FocusEvent).relatedTarget;
          if (to && !root.contains(to as Node)) this.#close();
        });
      }

      connectedCallback(): void {
        const outside = (event: Event): void => {
          if (!event.composedPath().includes(this)) this.#close();
        };
        document.addEventListener("pointerdown", outside);
        // The service worker asks whether the page shows a notification that was pushed.
        const asked = ({ data, ports }: MessageEvent): void => {
          if ((data as { instantPush?: string }).instantPush !== undefined) ports[0]?.postMessage(this.#isLive);
        };
        if (this.#switch) navigator.serviceWorker.addEventListener("message", asked);
        this.#ends = [
          () => {
            document.removeEventListener("pointerdown", outside);
            if (this.#switch) navigator.serviceWorker.removeEventListener("message", asked);
          },
          // Somebody else may be logged in now.
          instant.on("user", () => { this.#begin(); }),
        ];
        const known = remembered();
        if (known) {
          this.#listen(known);
          this.#timer = setTimeout(() => { this.#begin(); }, PATIENCE);
        } else {
          this.#begin();
        }
      }

      disconnectedCallback(): void {
        clearTimeout(this.#timer);
        for (const end of this.#ends) end();
        this.#channel = "";
        this.#isLive = false;
      }

      /** Asks how many there are, and listens where others arrive. */
      #begin(): void {
        clearTimeout(this.#timer);
        this.#isListed &&= !this.#panel.hidden;
        const number = (this.#asked += 1);
        this.#inbox.ask(this.#panel.hidden ? 0 : PAGE, !this.#channel).then(
          ({ channel, position }) => {
            if (number !== this.#asked) return;
            this.hidden = false;
            this.#show();
            remember(channel);
            this.#listen(channel, position);
            this.#switch?.is(channel, this.#inbox.push);
          },
          (error: unknown) => {
            if (number !== this.#asked || !(error instanceof Refused)) return;
            this.hidden = true;
            remember("");
          },
        );
      }

      /** Listens. What is published until then is missed, but for a channel that is still where it was at Django's answer. */
      #listen(name: string, before?: Position): void {
        if (this.#channel === name || !this.isConnected) return;
        this.#ends.splice(2).forEach((end) => { end(); });
        this.#channel = name;
        const channel = instant.channel(name);
        const again = (): void => { this.#begin(); };
        const begin = (): void => {
          const { position } = channel;
          const isWhole = before?.epoch === position?.epoch && before?.offset === position?.offset;
          if (!before || !isWhole) again();
          before = undefined;
        };
        this.#ends.push(
          channel.on("instant:notification", ({ id, data, date }) => {
            const one = { created: date.toISOString(), ...(data as object), id, read: false } as Notification;
            this.#inbox.add(one);
            this.#show();
            this.#ring(one);
          }),
          channel.on("instant:notifications-read", ({ data }) => {
            const { ids, unread } = data as { ids?: string[]; unread: number };
            void this.#switch?.wereRead(ids);
            if (!ids) { again(); return; }
            this.#inbox.wereRead(ids, unread);
            this.#show();
          }),
          channel.onLost(again),
          channel.onStatus((status) => {
            this.#isLive = status === "live";
            // From here on nothing is missed. Or it is another's channel, whose browser this was.
            if (this.#isLive) begin();
            else if (status === "denied" && name === remembered()) {
              remember("");
              again();
            }
          }),
        );
        // The page may listen already.
        this.#isLive = channel.status === "live";
        if (this.#isLive) begin();
      }

      #ring({ title }: Notification): void {
        this.#said.textContent = `${this.#count()}: ${title}`;
        this.#button.classList.remove("ring");
        requestAnimationFrame(() => { this.#button.classList.add("ring"); });
      }

      #count(): string {
        const { unread } = this.#inbox;
        return unread === 1 ? texts.one : texts.unread.replace("{n}", String(unread));
      }

      #open(): void {
        this.#panel.hidden = false;
        this.#button.setAttribute("aria-expanded", "true");
        this.#panel.focus();
        void this.#list();
      }

      #close(): void {
        this.#panel.hidden = true;
        this.#button.setAttribute("aria-expanded", "false");
      }

      async #list(): Promise<void> {
        this.#body.setAttribute("aria-busy", "true");
        await this.#try(this.#inbox.ask(PAGE).then(() => { this.#isListed = true; }));
        this.#body.removeAttribute("aria-busy");
      }

      /** Shows what a request has changed, or that it failed. */
      async #try(work: Promise<unknown>): Promise<void> {
        try {
          await work;
          this.#show();
        } catch {
          const again = element("button", { class: "quiet", type: "button" }, texts.again);
          again.addEventListener("click", () => void this.#list());
          this.#body.replaceChildren(element("p", { class: "note", role: "alert" }, texts.failed, " ", again));
        }
      }

      #show(): void {
        const { unread, items, hasMore } = this.#inbox;
        this.#badge.textContent = unread > MOST ? `${String(MOST)}+` : String(unread);
        this.#badge.hidden = unread === 0;
        this.#button.setAttribute("aria-label", unread ? `${texts.title}, ${this.#count()}` : texts.title);
        this.#all.hidden = unread === 0;
        if (!this.#isListed) return;
        const focused = (this.shadowRoot?.activeElement as HTMLElement | null)?.dataset["id"];
        if (!items.length) {
          this.#body.replaceChildren(element("p", { class: "note" }, texts.none));
          return;
        }
        this.#body.replaceChildren(element("ul", { role: "list" }, ...items.map((one) => element("li", {}, this.#row(one)))));
        if (hasMore) {
          const older = element("button", { class: "quiet", type: "button" }, texts.older);
          older.addEventListener("click", () => {
            const next = items.length;
            void this.#try(this.#inbox.askOlder()).then(() => { this.#rows()[next]?.focus(); });
          });
          this.#body.append(element("div", { class: "foot" }, older));
        }
        if (focused) this.#rows().find(({ dataset }) => dataset["id"] === focused)?.focus();
      }

      #row(one: Notification): HTMLElement {
        const attributes = { class: one.read ? "one" : "one unread", "data-id": one.id, "data-kind": one.kind };
        const row = element(one.url ? "a" : "button", { ...attributes, ...(one.url ? { href: one.url } : { type: "button" }) });
        if (!one.read) row.append(element("span", { class: "hidden" }, `${texts.mark}: `));
        row.append(element("span", { class: "title" }, one.title));
        if (one.body) row.append(element("span", { class: "text" }, one.body));
        row.append(when(one.created));
        row.addEventListener("click", () => void this.#inbox.read(one.id).then(() => { this.#show(); }, () => undefined));
        return row;
      }

      #rows(): HTMLElement[] {
        return [...this.#body.querySelectorAll<HTMLElement>(".one")];
      }

      readonly #move = (event: KeyboardEvent): void => {
        const rows = this.#rows();
        const here = rows.indexOf(this.shadowRoot?.activeElement as HTMLElement);
        const to = { ArrowDown: here + 1, ArrowUp: Math.max(here - 1, 0), Home: 0, End: rows.length - 1 }[event.key];
        if (to === undefined || !rows[to]) return;
        event.preventDefault();
        rows[to].focus();
      };
    },
  );
}

function remembered(): string {
  try {
    return localStorage.getItem(CHANNEL) ?? "";
  } catch {
    return ""; // the user forbids it
  }
}

function remember(channel: string): void {
  try {
    localStorage.setItem(CHANNEL, channel);
  } catch {
    // then each page asks twice
  }
}
