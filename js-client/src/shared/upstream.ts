import { byteLength, split } from "../size.js";
import type { Command, Push, Reply } from "./wire.js";

/** Milliseconds that a ping may be late. */
const PING_DELAY = 10_000;
/** By so many milliseconds a timer is late if the page did not run. What has arrived meanwhile is then read first. */
const LATE = 1000;

/** What the connection tells. */
export interface Events {
  opened(): void;
  pushed(push: Push, line: string): void;
  closed(code: number, reason: string): void;
}

/** Calls `run` after so many milliseconds in which the page could run. Returns a function that prevents it. */
function after(milliseconds: number, run: () => void): () => void {
  const due = Date.now() + milliseconds;
  let timer = setTimeout(() => {
    timer = setTimeout(run, Date.now() - due >= LATE ? LATE : 0);
  }, milliseconds);
  return () => {
    clearTimeout(timer);
  };
}

/** The one connection to the message server: numbers commands, finds their replies, and answers pings. */
export class Upstream {
  readonly #socket: WebSocket;
  readonly #events: Events;
  readonly #sizeLimit: number;
  readonly #timeout: number;
  readonly #calls = new Map<number, (reply: Reply, line: string) => void>();
  readonly #timers = new Set<() => void>();
  #lines: string[] = [];
  #id = 0;
  #heard = 0;
  #pongs = false;
  #isOver = false;

  constructor(socket: WebSocket, events: Events, { timeout, sizeLimit }: { readonly timeout: number; readonly sizeLimit: number }) {
    this.#socket = socket;
    this.#events = events;
    this.#timeout = timeout;
    this.#sizeLimit = sizeLimit;
    const stop = this.#after(timeout, () => {
      this.#fail();
    });
    socket.onopen = () => {
      stop();
      if (!this.#isOver) events.opened();
    };
    socket.onmessage = ({ data }: { readonly data: string }) => {
      this.#heard = Date.now();
      for (const line of data.split("\n")) if (line && !this.#isOver) this.#hear(line);
    };
    // What follows says all. In Node an error that nobody hears would end the process.
    socket.onerror = () => undefined;
    socket.onclose = ({ code, reason }) => {
      if (this.#isOver) return;
      this.#end();
      events.closed(code, reason);
    };
  }

  /** Sends a command; `answered` gets its reply. With `isVital` the connection is given up if there is none in time. */
  call(command: Command, answered: (reply: Reply, line: string) => void, isVital = false): void {
    const id = ++this.#id;
    const stop = isVital
      ? this.#after(this.#timeout, () => {
          this.#fail();
        })
      : undefined;
    this.#calls.set(id, (reply, line) => {
      stop?.();
      answered(reply, line);
    });
    this.send({ ...command, id });
  }

  /** Sends a command. Those of one moment go together. */
  send(command: object): void {
    if (this.#lines.push(JSON.stringify(command)) > 1) return;
    queueMicrotask(() => {
      const frame = this.#lines.join("\n");
      this.#lines = [];
      if (this.#isOver) return;
      for (const part of split(frame, (text) => byteLength(text) < this.#sizeLimit)) this.#socket.send(part);
    });
  }

  /** Gives the connection up if no ping comes for longer than `seconds`. */
  watch(seconds = 0, pongs = false): void {
    this.#pongs = pongs;
    if (seconds) this.#listen(seconds * 1000 + PING_DELAY);
  }

  /** Closes it, and tells nothing more. */
  close(): void {
    if (this.#isOver) return;
    this.#end();
    this.#socket.close();
  }

  #listen(patience: number): void {
    this.#after(patience, () => {
      if (Date.now() - this.#heard >= patience) this.#fail();
      else this.#listen(patience);
    });
  }

  #after(milliseconds: number, run: () => void): () => void {
    const stop = after(milliseconds, () => {
      this.#timers.delete(stop);
      run();
    });
    this.#timers.add(stop);
    return () => {
      this.#timers.delete(stop);
      stop();
    };
  }

  #hear(line: string): void {
    const reply = JSON.parse(line) as Reply;
    if (reply.id) {
      const answered = this.#calls.get(reply.id);
      this.#calls.delete(reply.id);
      answered?.(reply, line);
    } else if (reply.push) this.#events.pushed(reply.push, line);
    else if (this.#pongs) this.send({});
  }

  #fail(): void {
    if (this.#isOver) return;
    this.close();
    this.#events.closed(0, "");
  }

  #end(): void {
    this.#isOver = true;
    for (const stop of this.#timers) stop();
  }
}
