import type { Instant } from "../instant.js";
import { TextStream, type StreamState, type StreamUpdate, type StreamUrls } from "./text-stream.js";

/** What the element says at the end of a text, in the language of the page. */
export interface StreamTexts {
  readonly failed: string;
  readonly interrupted: string;
  readonly cancelled: string;
}

/** `<instant-stream>`. */
export interface InstantStreamElement extends HTMLElement {
  /** The text so far. */
  readonly text: string;
  readonly state: StreamState;
  /** Asks Django to stop writing, which whoever it is written for may do. Tells whether there was anything to stop. */
  stop(): Promise<boolean>;
}

declare global {
  interface HTMLElementTagNameMap {
    "instant-stream": InstantStreamElement;
  }
  interface HTMLElementEventMap {
    "instant:stream": CustomEvent<StreamUpdate>;
  }
}

const STYLE = `
:host { display: block; white-space: pre-wrap; overflow-wrap: anywhere; }
:host([hidden]) { display: none; }
[part=status]:not(:empty) { display: block; opacity: 0.75; font-style: italic; }
`;
/** Characters of one text node: a browser measures the whole node again when it grows. */
const NODE = 4096;

/** Defines `<instant-stream channel="…">`: a text that grows. It is text, and never HTML. */
export function defineStream(instant: Instant, texts: StreamTexts, urls?: StreamUrls): void {
  if (customElements.get("instant-stream")) return;
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(STYLE);
  customElements.define(
    "instant-stream",
    class extends HTMLElement implements InstantStreamElement {
      static readonly observedAttributes = ["channel"];
      readonly #status = document.createElement("span");
      #stream: TextStream | undefined;
      #remove: (() => void) | undefined;

      constructor() {
        super();
        const root = this.attachShadow({ mode: "open" });
        root.adoptedStyleSheets = [sheet];
        this.#status.setAttribute("part", "status");
        root.append(document.createElement("slot"), this.#status);
      }

      get text(): string {
        return this.#stream?.text ?? this.textContent;
      }

      get state(): StreamState {
        return this.#stream?.state ?? "none";
      }

      async stop(): Promise<boolean> {
        return (await this.#stream?.stop()) ?? false;
      }

      connectedCallback(): void {
        // A live region around it would tell the end, too.
        if (!this.closest("[aria-live]")) this.#status.setAttribute("role", "status");
        this.#stream ??= this.#begin();
        let isFirst = true;
        this.#remove = this.#stream?.onText((_text, update) => {
          // What was there when the page was loaded, or what this element has shown before.
          this.#show(isFirst ? { ...update, chunk: "" } : update);
          isFirst = false;
        });
      }

      disconnectedCallback(): void {
        this.#remove?.();
        this.#remove = undefined;
      }

      attributeChangedCallback(_name: string, before: string | null): void {
        if (before === null || !this.#stream) return;
        this.disconnectedCallback();
        this.#stream = undefined;
        for (const name of ["run", "length", "state"]) this.removeAttribute(name);
        this.textContent = "";
        if (this.isConnected) this.connectedCallback();
      }

      #begin(): TextStream | undefined {
        const name = this.getAttribute("channel");
        if (!name) return undefined;
        const run = this.getAttribute("run");
        const state = (this.getAttribute("state") ?? undefined) as StreamState | undefined;
        const start = run === null ? {} : { start: { run, text: this.textContent, length: Number(this.getAttribute("length")), state } };
        return new TextStream(instant.channel(name), { ...start, ...(urls && { urls }), follow: this.hasAttribute("follow") });
      }

      #show(update: StreamUpdate): void {
        const { chunk, reset, state } = update;
        if (reset) this.textContent = "";
        if (chunk) {
          const last = this.lastChild;
          if (last instanceof Text && last.length < NODE) last.appendData(chunk);
          else this.append(chunk);
        }
        if (this.getAttribute("state") !== state) this.setAttribute("state", state);
        const said = (texts as Partial<Record<StreamState, string>>)[state] ?? "";
        if (this.#status.textContent !== said) this.#status.textContent = said;
        this.dispatchEvent(new CustomEvent("instant:stream", { bubbles: true, composed: true, detail: update }));
      }
    },
  );
}
