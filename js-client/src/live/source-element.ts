import type { Instant } from "../instant.js";
import type { InstantMessage } from "../types.js";
import { apply, type Action } from "./apply.js";
import { follow } from "./events.js";

/** The event class of what `send_html()` publishes. */
const HTML = "instant:html";

/** What is in such a message. */
interface Fragment {
  readonly html?: string;
  /** A CSS selector. */
  readonly target: string;
  readonly action: Action;
}

/** Messages that were applied: of several elements that listen one does it. */
const applied = new WeakSet<InstantMessage>();

/**
 * Defines `<instant-source channel="…">`, which shows what `send_html()` sends to the channel, and tells the page of
 * messages by events. With `events="shipped, moved"` it tells of those only.
 */
export function defineSource(instant: Instant): void {
  if (customElements.get("instant-source")) return;
  const sheet = new CSSStyleSheet();
  sheet.replaceSync("instant-source { display: contents }"); // no gap in a grid
  document.adoptedStyleSheets.push(sheet);
  customElements.define(
    "instant-source",
    class extends HTMLElement {
      static readonly observedAttributes = ["channel"];
      #end: (() => void) | undefined;

      connectedCallback(): void {
        const name = this.getAttribute("channel");
        if (this.#end || !name) return;
        const epoch = this.getAttribute("epoch");
        const since = epoch ? { epoch, offset: Number(this.getAttribute("offset")) } : undefined;
        const show = (message: InstantMessage): void => {
          // Turbo and htmx may keep this element with the page as it is then, and put it back.
          if (since && message.offset !== undefined) this.setAttribute("offset", String(message.offset));
          insert(message);
        };
        this.#end = follow(this, instant.channel(name), this.#wants, show, since);
      }

      disconnectedCallback(): void {
        this.#end?.();
        this.#end = undefined;
      }

      /** Keeps its place: an element that is moved hears on. */
      connectedMoveCallback(): void {
        // nothing to be done
      }

      attributeChangedCallback(): void {
        if (!this.isConnected) return;
        this.disconnectedCallback();
        this.connectedCallback();
      }

      readonly #wants = ({ eventClass }: InstantMessage): boolean => {
        const events = this.getAttribute("events");
        return events === null || events.split(/[\s,]+/).includes(eventClass);
      };
    },
  );
}

/** Shows a message with HTML, if Django has published it: what a browser has published names its connection. */
function insert(message: InstantMessage): void {
  if (message.eventClass !== HTML || message.client || applied.has(message)) return;
  applied.add(message);
  const { html = "", target, action } = message.data as Fragment;
  for (const element of document.querySelectorAll(target)) apply(element, html, action);
}
