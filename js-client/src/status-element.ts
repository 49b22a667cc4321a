import type { Instant } from "./instant.js";
import type { StatusTexts } from "./options.js";
import type { Status } from "./types.js";

/** Milliseconds of trouble before people are told. */
const PATIENCE = 2000;

/** Defines the element with the given texts only; see `defineStatusElement()`. */
export function defineElement(instant: Instant, texts: StatusTexts = {}, name = "instant-status"): void {
  const { customElements } = globalThis as { customElements?: CustomElementRegistry };
  if (!customElements || customElements.get(name)) return;
  customElements.define(
    name,
    class extends HTMLElement {
      #off?: () => void;
      #patience?: ReturnType<typeof setTimeout> | undefined;
      #isTold = false;

      connectedCallback(): void {
        // Screen readers announce changes when they have finished what they are reading.
        this.setAttribute("role", "status");
        this.setAttribute("aria-live", "polite");
        this.#off = instant.on("status", this.#follow);
        this.#follow(instant.status);
      }

      disconnectedCallback(): void {
        this.#off?.();
        this.#rest();
      }

      readonly #follow = (status: Status): void => {
        const isGood = status === "live" || status === "idle";
        if (isGood || this.#isTold || status === "signed-out") {
          this.#rest();
          this.#show(status, this.#isTold || !isGood);
          this.#isTold = !isGood;
        } else {
          this.#patience ??= setTimeout(() => {
            this.#isTold = true;
            this.#show(instant.status, true);
          }, PATIENCE);
        }
      };

      #rest(): void {
        clearTimeout(this.#patience);
        this.#patience = undefined;
      }

      #show(status: Status, isNews: boolean): void {
        this.setAttribute("status", status);
        this.textContent = isNews ? (this.getAttribute(status) ?? texts[status] ?? "") : "";
      }
    },
  );
}

/** The default texts. `{% instant_script %}` brings translated ones. */
const ENGLISH: StatusTexts = {
  connecting: "Connecting…",
  live: "Connected again.",
  "catching-up": "Catching up…",
  offline: "Not connected. Trying again…",
  stopped: "Not connected. Reload the page to try again.",
  "signed-out": "You are signed out.",
};

/**
 * Defines `<instant-status>`, which tells people when the page is not connected.
 *
 * Its attribute `status` and its text follow `instant.status`. Trouble is shown after two seconds; its end
 * and `signed-out` are shown at once. A text comes from the attribute that has the status's name, else
 * from `texts`, else it is English. Does nothing if the element is defined already, or in Node.
 */
export function defineStatusElement(instant: Instant, texts?: StatusTexts, name?: string): void {
  defineElement(instant, { ...ENGLISH, ...texts }, name);
}
