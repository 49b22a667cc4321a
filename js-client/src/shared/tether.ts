import type { Port } from "./member.js";
import { createId } from "../tab.js";

/**
 * Milliseconds between two questions of a tab that is shown whether the leader runs, and how many it may leave open. One
 * that runs answers within 10 ms, on a busy machine and hidden, too: its timers are slowed down, what it is told isn't.
 */
const LOOK = 300;
const OPEN = 2;
/** After so many frames, or so many characters, the leader is told that they were read. */
const FRAMES = 32;
const SIZE = 32_768;

/** What the tab with the connection tells another one. The names stay as they are: another tab may have another script. */
export interface Down {
  readonly leader: string;
  readonly open?: true;
  readonly frame?: string;
  readonly end?: readonly [code: number, reason: string];
  readonly alive?: true;
}

/** What the other one tells it. */
export interface Up {
  /** The leader that is meant. One that was replaced may not know it yet. */
  readonly to: string | undefined;
  readonly frame?: string;
  readonly alive?: true;
  /** How many frames it has read since it was taken up. */
  readonly read?: number;
}

interface Browser {
  readonly document?: Document;
}

/** The name under which a tab and the one with the connection speak with each other, and of the lock that says it is there. */
export function lineName(group: string, id: string): string {
  return `${group} ${id}`;
}

/** Holds a lock until the signal aborts. Resolves when it has it. */
export function holdLock(name: string, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    navigator.locks
      .request(name, { signal }, () => {
        resolve();
        return new Promise<void>((release) => {
          signal.addEventListener("abort", () => {
            release();
          });
        });
      })
      // Aborted while it waited.
      .catch(() => undefined);
  });
}

/** The end of a line to the tab that has the connection. */
export class Tether {
  readonly id = createId();
  /** The leader that has taken it up. */
  leader: string | undefined;
  readonly #port: Port;
  readonly #line: BroadcastChannel;
  readonly #gone = new AbortController();
  readonly #lost: () => void;
  #timer: ReturnType<typeof setInterval> | undefined;
  #unanswered = 0;
  #looked = 0;
  #frames = 0;
  #size = 0;

  /** `joins` is called when it may be taken up, `lost` when the leader does not answer. */
  constructor(group: string, port: Port, joins: () => void, lost: () => void) {
    this.#port = port;
    this.#lost = lost;
    const name = lineName(group, this.id);
    this.#line = new BroadcastChannel(name);
    this.#line.onmessage = ({ data }) => {
      this.#hear(data as Down);
    };
    // The leader waits for this lock, and so knows when this tab is gone.
    void holdLock(name, this.#gone.signal).then(() => {
      if (!this.#gone.signal.aborted) joins();
    });
    const look = (): void => {
      clearInterval(this.#timer);
      this.#unanswered = 0;
      // A hidden tab has no timer.
      if (!(globalThis as Browser).document?.hidden) this.#watch();
    };
    look();
    (globalThis as Browser).document?.addEventListener("visibilitychange", look, { signal: this.#gone.signal });
  }

  send(frame: string): void {
    this.#tell({ to: this.leader, frame });
  }

  close(): void {
    if (this.#gone.signal.aborted) return;
    clearInterval(this.#timer);
    this.#gone.abort();
    this.#line.close();
  }

  #tell(message: Up): void {
    if (!this.#gone.signal.aborted) this.#line.postMessage(message);
  }

  #hear({ leader, open, frame, end }: Down): void {
    this.leader ??= leader;
    if (leader !== this.leader || this.#gone.signal.aborted) return;
    this.#unanswered = 0;
    if (open) this.#port.open();
    if (frame) {
      this.#acknowledge(frame.length);
      this.#port.frame(frame, 0);
    }
    if (end) this.#port.end(...end);
  }

  /** Tells the leader that it reads, which otherwise lets go of it. */
  #acknowledge(size: number): void {
    this.#frames += 1;
    this.#size += size;
    if (this.#frames % FRAMES && this.#size < SIZE) return;
    this.#size = 0;
    this.#tell({ to: this.leader, read: this.#frames });
  }

  /** Asks from time to time whether the leader runs. A question counts only if this page ran, too. */
  #watch(): void {
    this.#looked = Date.now();
    this.#timer = setInterval(() => {
      const isLate = Date.now() - this.#looked > LOOK * 1.5;
      this.#looked = Date.now();
      if (isLate) this.#unanswered = 0;
      if (this.#unanswered >= OPEN) {
        this.#lost();
        return;
      }
      this.#unanswered += 1;
      this.#tell({ to: this.leader, alive: true });
    }, LOOK);
  }
}
