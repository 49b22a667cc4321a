import type { Instant } from "../instant.js";
import type { ChannelStatus, InstantMessage } from "../types.js";
import { apply } from "./apply.js";
import { follow, tell } from "./events.js";
import { Fetching, type Answer, type Asking } from "./fetching.js";
import { freshPage } from "./fresh-page.js";
import { Trails } from "./trails.js";

/**
 * - `connecting`: what it shows may be out of date
 * - `live`: it is shown again with every change
 * - `denied`: the viewer may not hear the channel
 * - `gone`: the object was deleted, or is there for others only
 * - `old`: its reference has ended, and the page's own address has none
 */
export type FragmentStatus = "connecting" | "live" | "denied" | "gone" | "old";

/** What the page knows of fragments. */
export interface FragmentOptions {
  readonly url: string;
  /** Seconds after which a reference ends. */
  readonly life: number;
}

/** What an answer says, the channel last: it begins to listen from the new position. */
const ATTRIBUTES = ["key", "ref", "offset", "epoch", "window", "events", "pk", "public", "channel"];
/** Milliseconds in which the page's own address is asked for new references once. */
const PATIENCE = 60_000;

/** Defines `<instant-live>`, which `{% live %}` makes: it asks Django for its HTML when its channel tells of a change. */
export function defineFragment(instant: Instant, { url, life }: FragmentOptions): void {
  if (customElements.get("instant-live")) return;
  const fetching = new Fetching(url, life);
  const trails = new Trails();
  customElements.define(
    "instant-live",
    class extends HTMLElement implements Asking {
      static readonly observedAttributes = ["channel", "offset", "ref"];
      status: FragmentStatus = "connecting";
      #ends: (() => void)[] = [];
      #channel = "";
      /** The newest message that concerns it; Infinity where messages have no offset. */
      #heard = -1;
      /** True while it has to ask before it knows that nothing is missing. */
      #isBehind = false;
      #isLost = false;
      #isTaking = false;
      #renewed = -Infinity;
      #settled: (() => void)[] = [];

      get reference(): string {
        return this.#get("ref");
      }

      get spread(): number {
        return Number(this.#get("window"));
      }

      get version(): string | undefined {
        if (!this.hasAttribute("public")) return undefined;
        const newest = Math.max(this.#heard, this.#offset);
        return !this.#isLost && this.#epoch && Number.isFinite(newest) ? `${String(newest)}.${this.#epoch}` : "";
      }

      get #epoch(): string {
        return this.#get("epoch");
      }

      get #offset(): number {
        return Number(this.#get("offset"));
      }

      #get(name: string): string {
        return this.getAttribute(name) ?? "";
      }

      connectedCallback(): void {
        const name = this.#get("channel");
        if (this.#ends.length || !name) return;
        this.#channel = name;
        const channel = instant.channel(name);
        const since = this.#epoch ? { epoch: this.#epoch, offset: this.#offset } : undefined;
        if (channel.status === "idle" && since) trails.begin(name, since.epoch, since.offset);
        this.#isBehind = !since || !trails.reaches(name, since.epoch, since.offset);
        trails.join(name);
        this.#ends = [
          follow(this, channel, this.#concerns, this.#hear, since),
          channel.onLost(() => this.#lose()),
          channel.onStatus((status) => { this.#is(status); }),
          () => { trails.leave(name); },
        ];
        this.#is(channel.status);
        fetching.renew(this);
      }

      disconnectedCallback(): void {
        for (const end of this.#ends.splice(0)) end();
        fetching.forget(this);
        fetching.rest(this);
        this.#settle();
        this.status = "connecting";
      }

      /** Keeps its place: an element that is moved hears on. */
      connectedMoveCallback(): void {
        // nothing to be done
      }

      attributeChangedCallback(name: string, before: string | null, now: string | null): void {
        if (before === now || !this.#ends.length || (this.#isTaking && name !== "channel")) return;
        if (this.#channel !== this.#get("channel")) {
          this.disconnectedCallback();
          this.connectedCallback();
          return;
        }
        // What is around it was shown again, and it with that: maybe as it was before its channel told of a change.
        if (!trails.reaches(this.#channel, this.#epoch, this.#offset)) fetching.want(this);
      }

      answered(answer: Answer, reference: string): void {
        if (!this.isConnected) return;
        if (reference !== this.reference) {
          // What is around it has put another one here meanwhile, or this one anew: the answer is older than that.
          fetching.want(this);
          return;
        }
        if (answer.state === "old") {
          void this.#renew();
          return;
        }
        this.#isBehind = this.#isLost = false;
        if (answer.state === "denied" || answer.state === "gone") {
          this.#letGo(answer.state);
          tell(this, `instant:${answer.state}`, { channel: this.#channel });
        } else {
          this.#take((name) => answer[name]);
          if (answer.html !== undefined) apply(this, answer.html, "morph");
          this.status = instant.channel(this.#channel).status === "subscribing" ? "connecting" : "live";
          fetching.renew(this);
          // What came meanwhile may be in it already.
          if (this.#epoch && this.#heard <= this.#offset) fetching.forget(this);
        }
        this.#settle();
      }

      /** Tells whether a message may have changed what is shown. */
      readonly #concerns = ({ eventClass, data }: InstantMessage): boolean => {
        const events = this.#get("events");
        if (!events) return !eventClass.startsWith("instant:");
        if (!events.split(" ").some((one) => (one.endsWith("*") ? eventClass.startsWith(one.slice(0, -1)) : eventClass === one))) return false;
        const pk = (data as { pk?: string | number } | null | undefined)?.pk;
        return pk === undefined || !this.hasAttribute("pk") || String(pk) === this.#get("pk");
      };

      readonly #hear = (message: InstantMessage): void => {
        const { offset } = message;
        trails.hear(this.#channel, offset);
        if (!this.#concerns(message)) return;
        if (offset !== undefined && this.#epoch && offset <= this.#offset && !this.#isLost) return; // it is shown
        this.#heard = this.#isLost ? (offset ?? Infinity) : Math.max(this.#heard, offset ?? Infinity);
        fetching.want(this);
      };

      #lose(): Promise<void> {
        trails.lose(this.#channel);
        this.#isLost = true;
        this.#heard = -1;
        fetching.want(this);
        return new Promise((resolve) => { this.#settled.push(resolve); });
      }

      #settle(): void {
        for (const resolve of this.#settled.splice(0)) resolve();
      }

      #is(status: ChannelStatus): void {
        if (status === "denied") {
          // The first time the page has just been shown to the viewer all the same.
          if (instant.channel(this.#channel).denial === "revoked") this.#letGo("denied");
          this.status = "denied";
        } else if (status === "live") {
          // Without a history whatever was published before this moment is missing.
          if (this.#isBehind || !this.#epoch || this.status === "denied") fetching.want(this);
          else if (this.status === "connecting") this.status = "live";
        }
      }

      /** Shows nothing, since it isn't the viewer's any more. */
      #letGo(status: "denied" | "gone"): void {
        this.status = status;
        fetching.forget(this);
        fetching.rest(this);
        if (this.childNodes.length) apply(this, "", "update");
      }

      #take(value: (name: string) => string | number | undefined): void {
        this.#isTaking = true;
        for (const name of ATTRIBUTES) {
          const given = value(name);
          if (given === undefined || given === "") this.removeAttribute(name);
          else this.setAttribute(name, String(given));
        }
        this.#isTaking = false;
      }

      /** Takes a new reference, and what is there now, from the page's own address. */
      async #renew(): Promise<void> {
        const ref = this.reference;
        const key = this.#get("key");
        const isSoon = performance.now() - this.#renewed < PATIENCE;
        const page = isSoon ? undefined : await freshPage();
        if (!this.isConnected) return;
        if (ref !== this.reference) {
          // What is around it has put another one here meanwhile.
          fetching.want(this);
          return;
        }
        this.#renewed = performance.now();
        const found = page?.querySelector(`instant-live[key="${CSS.escape(key)}"]`);
        if (!found || found.getAttribute("ref") === ref) {
          this.status = "old";
          tell(this, "instant:lost", { channel: this.#channel });
          this.#settle();
          return;
        }
        const { innerHTML: html } = found;
        this.answered({ ...Object.fromEntries([...found.attributes].map((one) => [one.name, one.value])), html }, ref);
        if (!trails.reaches(this.#channel, this.#epoch, this.#offset)) fetching.want(this);
      }
    },
  );
}

/** Shows the content as if nothing were around it, unless the page's own style says otherwise. */
export function styleFragments(): void {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(":where(instant-live){display:contents}");
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
}
