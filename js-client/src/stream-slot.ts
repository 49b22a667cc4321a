import { SupersededError } from "./errors.js";

/**
 * How many pages of a browser may have a response that does not end from one server. Over HTTP/1.1 browsers
 * open six connections to a server; the others are left for commands, and for loading pages.
 */
const SLOTS = 4;
/** Milliseconds for which a page keeps its slot while others wait, and between two looks whether they do. */
const TURN = 30_000;
const LOOK = 2000;

interface Browser {
  readonly document?: Document;
  readonly navigator?: { readonly locks?: LockManager };
}

/** True if the browser speaks HTTP/1.1 with a server: always without TLS, else if it did for this page. */
function isLimited({ protocol, origin }: URL): boolean {
  return (
    protocol === "http:" ||
    performance
      .getEntries()
      .some((entry) => entry.name.startsWith(origin) && (entry as PerformanceResourceTiming).nextHopProtocol === "http/1.1")
  );
}

/** Resolves when the signal aborts. */
function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    signal.addEventListener("abort", () => {
      resolve();
    });
  });
}

/**
 * One of the slots that the pages of a browser share, so that the next page still loads. Pages that wait
 * take turns in their order, but a page that people look at goes before hidden ones. The browser's locks
 * know the order; where there are none, nothing is limited.
 */
export class StreamSlot {
  readonly #giveUp: () => void;
  /** The beginning of the locks' names, `""` while this page neither has nor waits for a slot. */
  #name = "";
  /** Resolves when it has one, and rejects when it stops to wait. */
  #granted: Promise<boolean> = Promise.resolve(true);
  #released = new AbortController();

  /** `giveUp` is called when it is another page's turn; it has to close the connection. */
  constructor(giveUp: () => void) {
    this.#giveUp = giveUp;
  }

  /**
   * Returns undefined if this page may use the endpoint at once. Else resolves with true when it may, and
   * with false after `patience` milliseconds; it stays in the queue then. Rejects with `SupersededError`
   * after `release()`.
   */
  take(endpoint: string, patience: number): Promise<boolean> | undefined {
    const locks = (globalThis as Browser).navigator?.locks;
    const url = new URL(endpoint);
    const name = `instant ${url.origin} `;
    // WebSockets have connections of their own.
    if (!locks || url.protocol.startsWith("ws") || !isLimited(url)) return undefined;
    if (this.#name !== name) {
      this.release();
      this.#name = name;
      this.#granted = this.#wait(locks, name, (this.#released = new AbortController()).signal);
    }
    return Promise.race([
      this.#granted,
      new Promise<boolean>((resolve) => {
        setTimeout(resolve, patience, false);
      }),
    ]);
  }

  /** Gives the slot back, or stops to wait for one. */
  release(): void {
    this.#name = "";
    this.#released.abort();
  }

  #wait(locks: LockManager, name: string, signal: AbortSignal): Promise<boolean> {
    const { document: page } = globalThis as Browser;
    const granted = new AbortController();
    const stopWaiting = (): void => {
      granted.abort();
    };
    signal.addEventListener("abort", stopWaiting);
    // While it waits, a page that is shown holds a lock that only says so.
    const show = (): void => {
      if (!page?.hidden) void locks.request(`${name}shown`, { mode: "shared" }, () => aborted(granted.signal));
    };
    show();
    page?.addEventListener("visibilitychange", show, { signal: granted.signal });
    const waiting = new Promise<boolean>((resolve, reject) => {
      signal.addEventListener("abort", () => {
        reject(new SupersededError("The connection was closed"));
      });
      // Waits for all slots, and keeps the first.
      const hold = (): Promise<void> | undefined => {
        if (granted.signal.aborted) return;
        stopWaiting();
        resolve(true);
        this.#watch(locks, name, signal);
        return aborted(signal);
      };
      for (let slot = 0; slot < SLOTS; slot += 1) {
        locks.request(name + String(slot), { signal: granted.signal }, hold).catch(() => undefined);
      }
    });
    // Nobody may be waiting for it any more.
    waiting.catch(() => undefined);
    return waiting;
  }

  /** Looks from time to time whether it is another page's turn. */
  #watch(locks: LockManager, name: string, signal: AbortSignal): void {
    const end = Date.now() + TURN;
    const timer = setInterval(() => {
      void locks.query().then(({ held = [], pending = [] }) => {
        if (signal.aborted || !pending.some((lock) => lock.name?.startsWith(name))) return;
        // Not all hidden pages at once for the one that is shown.
        const isShown = held.some((lock) => lock.name === `${name}shown`);
        const isHurried = isShown && (globalThis as Browser).document?.hidden && Math.random() < 0.5;
        if (isHurried || Date.now() > end) this.#giveUp();
      });
    }, LOOK);
    signal.addEventListener("abort", () => {
      clearInterval(timer);
    });
  }
}
