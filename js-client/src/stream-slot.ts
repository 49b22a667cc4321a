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
  #released = new AbortController();

  /** `giveUp` is called when it is another page's turn; it has to close the connection. */
  constructor(giveUp: () => void) {
    this.#giveUp = giveUp;
  }

  /** Resolves when this page may open a response that does not end; undefined if it may at once. */
  take(endpoint: string): Promise<void> | undefined {
    const locks = (globalThis as Browser).navigator?.locks;
    const url = new URL(endpoint);
    // WebSockets have connections of their own.
    if (url.protocol.startsWith("ws")) this.release();
    const name = `instant ${url.origin} `;
    if (!locks || this.#name === name || !isLimited(url)) return undefined;
    this.release();
    this.#name = name;
    return this.#wait(locks, name);
  }

  async #wait(locks: LockManager, name: string): Promise<void> {
    const page = (globalThis as Browser).document;
    const { signal } = (this.#released = new AbortController());
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
    await new Promise<void>((resolve) => {
      // Waits for all slots, and keeps the first.
      const hold = (): Promise<void> | undefined => {
        if (granted.signal.aborted) return;
        stopWaiting();
        resolve();
        return aborted(signal);
      };
      for (let slot = 0; slot < SLOTS; slot += 1) {
        locks.request(name + String(slot), { signal: granted.signal }, hold).catch(() => undefined);
      }
    });
    const end = Date.now() + TURN;
    const timer = setInterval(() => {
      void locks.query().then(({ held = [], pending = [] }) => {
        if (signal.aborted || !pending.some((lock) => lock.name?.startsWith(name))) return;
        // Not all hidden pages at once for the one that is shown.
        const isHurried = page?.hidden && held.some((lock) => lock.name === `${name}shown`) && Math.random() < 0.5;
        if (isHurried || Date.now() > end) this.#giveUp();
      });
    }, LOOK);
    signal.addEventListener("abort", () => {
      clearInterval(timer);
    });
  }

  /** Gives the slot back, or stops to wait for one. */
  release(): void {
    this.#name = "";
    this.#released.abort();
  }
}
