import type { Connection } from "../connection.js";
import { pause } from "./pause.js";

/** Milliseconds in which acknowledgements are collected, and those of other tabs arrive. */
const COLLECT = 20;
/** Ids in one request. */
const LIMIT = 500;
/** Ids that are known to be acknowledged. */
const KNOWN = 2000;

/** What of a browser is used; in Node there is no page, and on pages without HTTPS no lock. */
interface Browser {
  readonly document?: Document;
  readonly BroadcastChannel?: new (name: string) => BroadcastChannel;
  readonly navigator?: { readonly locks?: LockManager };
}

/** What a tab tells the others. */
interface Told {
  readonly user: string | undefined;
  readonly ids: readonly string[];
}

/** The page's acknowledgements: sent together, and not again by another tab of the same user. */
export class Acknowledgements {
  readonly #connection: Connection;
  readonly #name: string;
  /** Ids that are to be sent, and whose they are. */
  #waiting = new Set<string>();
  #user: string | undefined;
  readonly #known = new Set<string>();
  #tabs: BroadcastChannel | undefined;
  #sending: Promise<void> | undefined;
  /** Ends the wait for the next connection. */
  #wake = (): void => undefined;

  constructor(connection: Connection) {
    this.#connection = connection;
    this.#name = `instant acknowledged ${connection.config.urls.get_token}`;
    // An open channel would throw a hidden page out of the back-forward cache.
    if ((globalThis as unknown as Browser).document) addEventListener("pagehide", this.#close);
  }

  /** Begins to hear what other tabs have acknowledged. */
  listen(): void {
    const { document: page, BroadcastChannel } = globalThis as unknown as Browser;
    if (this.#tabs || !page || !BroadcastChannel) return;
    this.#tabs = new BroadcastChannel(this.#name);
    this.#tabs.onmessage = ({ data }) => {
      const { user, ids } = data as Told;
      if (user === this.#connection.grants.subject) this.#done(ids);
    };
  }

  /** Acknowledges messages. Resolves when Django knows; rejects if it refuses. */
  add(ids: readonly string[]): Promise<void> {
    const { subject } = this.#connection.grants;
    // Nobody acknowledges what another user has read.
    if (subject !== this.#user) this.#forget();
    this.#user = subject;
    for (const id of ids) if (!this.#known.has(id)) this.#waiting.add(id);
    if (this.#waiting.size === 0) return Promise.resolve();
    this.listen();
    this.#wake();
    return (this.#sending ??= this.#send().finally(() => {
      this.#sending = undefined;
    }));
  }

  #close = (): void => {
    this.#tabs?.close();
    this.#tabs = undefined;
  };

  #forget(): void {
    this.#waiting.clear();
    this.#known.clear();
  }

  #done(ids: readonly string[]): void {
    for (const id of ids) {
      this.#waiting.delete(id);
      this.#known.add(id);
      const [oldest = ""] = this.#known;
      if (this.#known.size > KNOWN) this.#known.delete(oldest);
    }
  }

  async #send(): Promise<void> {
    const { config, listeners } = this.#connection;
    const { locks } = (globalThis as unknown as Browser).navigator ?? {};
    await pause(COLLECT);
    for (let failures = 0; this.#waiting.size > 0; ) {
      try {
        await (locks ? locks.request(this.#name, this.#sendOnce) : this.#sendOnce());
        failures = 0;
      } catch (error) {
        const { status = 0 } = error as { status?: number };
        // Another try would be refused, too: they come again after a reload.
        if (status >= 400 && status < 429) {
          this.#waiting.clear();
          throw error;
        }
        if (failures === 0) listeners.error.emit(error as Parameters<typeof listeners.error.emit>[0]);
        const [minimum, maximum] = config.reconnectDelay;
        await pause(Math.random() * Math.min(maximum, minimum * 2 ** ++failures));
        // Or until it acknowledges more.
        await Promise.race([
          this.#connection.wanted(),
          new Promise<void>((resolve) => {
            this.#wake = resolve;
          }),
        ]);
      }
    }
  }

  #sendOnce = async (): Promise<void> => {
    // What the tab that had the lock has told may be on its way. Two pauses: where this tab has stood still the first
    // is over at once, before what has arrived meanwhile is heard.
    for (let left = this.#tabs ? 2 : 0; left > 0; left -= 1) await pause(COLLECT / 2);
    const ids = [...this.#waiting].slice(0, LIMIT);
    if (ids.length === 0) return;
    const user = this.#user;
    await this.#connection.django.post("messages", { ids, ...(user && { user }) }, "acknowledge/");
    // Another user may have acknowledged meanwhile, who has the same messages.
    if (user === this.#user) this.#done(ids);
    this.#tabs?.postMessage({ user, ids } satisfies Told);
  };
}

const all = new WeakMap<Connection, Acknowledgements>();

/** Returns the page's acknowledgements. */
export function acknowledgements(connection: Connection): Acknowledgements {
  const known = all.get(connection) ?? new Acknowledgements(connection);
  all.set(connection, known);
  return known;
}

/** See `Channel.acknowledge()`. */
export function acknowledge(connection: Connection, ids: readonly string[]): Promise<void> {
  return acknowledgements(connection).add(ids);
}
