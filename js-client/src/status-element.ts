import type { Instant } from "./instant.js";
import type { Status, StatusTexts } from "./types.js";

/** Milliseconds of trouble that nobody needs to hear of. */
const PATIENCE = 2000;

/** Defines the element with these texts alone; see `defineStatusElement()`. */
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
        // Screen readers say what changes in here, when they have said the rest.
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

/** For pages without `{% instant_script %}`, which brings the texts translated. */
const ENGLISH: StatusTexts = {
  connecting: "Connecting…",
  live: "Connected again.",
  "catching-up": "Catching up…",
  offline: "Not connected. Trying again…",
  "signed-out": "You are signed out.",
};

/**
 * Defines `<instant-status>`, which tells people about a connection that is not live.
 *
 * Its attribute `status` and its text follow `instant.status`: trouble after two seconds of it,
 * the end of trouble and `signed-out` at once. Texts are attributes named like the status, else those
 * given here, else English. Does nothing where there are no custom elements, or when it is there already.
 */
export function defineStatusElement(instant: Instant, texts?: StatusTexts, name?: string): void {
  defineElement(instant, { ...ENGLISH, ...texts }, name);
}
