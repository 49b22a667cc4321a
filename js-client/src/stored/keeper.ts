import type { Connection } from "../connection.js";
import type { Feed } from "../feed.js";
import type { InstantMessage, MessageOptions } from "../types.js";
import { acknowledgements, type Acknowledgements } from "./acknowledgements.js";
import { ask } from "./outstanding.js";

/** Ids of messages that were delivered. */
const KNOWN = 10_000;

/** A listener whose messages are acknowledged. */
interface Entry {
  readonly event: string;
  readonly listener: (message: InstantMessage) => unknown;
  readonly own: boolean | undefined;
}

/** Delivers a channel's messages: those that waited first, then those that arrive, each once; and acknowledges them. */
class Keeper {
  readonly #connection: Connection;
  readonly #feed: Feed;
  readonly #acknowledgements: Acknowledgements;
  readonly #entries = new Set<Entry>();
  readonly #delivered = new Set<string>();
  /** To whom these were delivered. */
  #user: string | undefined;
  /** What has arrived while those that waited are read; `undefined` while nothing is held back. */
  #held: InstantMessage[] | undefined;
  #reading: Promise<void> | undefined;
  #isReadAgain = false;
  #wasJoined = false;
  #removers: readonly (() => void)[] = [];

  constructor(connection: Connection, feed: Feed) {
    this.#connection = connection;
    this.#feed = feed;
    this.#acknowledgements = acknowledgements(connection);
  }

  /** Adds a listener, and returns a function that removes it. */
  add(entry: Entry): () => void {
    const { messages, statuses, gaps } = this.#feed;
    if (this.#entries.size === 0) {
      this.#acknowledgements.listen();
      this.#removers = [
        messages.add((message) => {
          if (this.#held) this.#held.push(message);
          else this.#deliver(message);
        }),
        statuses.add(() => {
          this.#look();
        }),
        // The channel is lost until they are read.
        gaps.add(() => this.#read()),
      ];
    }
    this.#entries.add(entry);
    // For the messages of its class, which nobody has taken before.
    this.#wasJoined = false;
    this.#look();
    return () => {
      if (!this.#entries.delete(entry) || this.#entries.size > 0) return;
      for (const remove of this.#removers) remove();
      this.#wasJoined = false;
    };
  }

  /** Reads what waits after each subscription. */
  #look(): void {
    const { isJoined } = this.#feed;
    if (isJoined && !this.#wasJoined) void this.#read();
    this.#wasJoined = isJoined;
  }

  #read(): Promise<void> {
    // What is on its way may have been asked for too early.
    this.#isReadAgain = true;
    return (this.#reading ??= this.#readAll().finally(() => {
      this.#reading = undefined;
      this.#release();
    }));
  }

  async #readAll(): Promise<void> {
    let next: number | null = null;
    for (let failures = 0; this.#isReadAgain || next !== null; ) {
      if (next === null) {
        this.#isReadAgain = false;
        this.#held ??= [];
      }
      try {
        const page: Awaited<ReturnType<typeof ask>> = await ask(this.#connection, this.#feed, next);
        failures = 0;
        for (const message of page.messages) this.#deliver(message);
        ({ next } = page);
      } catch (error) {
        this.#feed.failed(error);
        // New messages don't wait for a Django that is away.
        this.#release();
        const { status = 0 } = error as { status?: number };
        if (status >= 400 && status < 429) return;
        this.#isReadAgain ||= next === null;
        await this.#feed.pause(failures++);
      }
      if (this.#entries.size === 0 || !this.#feed.isHeld) return;
    }
  }

  #release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const message of held) this.#deliver(message);
  }

  #deliver(message: InstantMessage): void {
    const { id, own, eventClass } = message;
    const { subject } = this.#connection.grants;
    // Another user has had none of them. While the page connects anew nobody knows who it will be.
    if (subject !== undefined && subject !== this.#user) {
      this.#delivered.clear();
      this.#user = subject;
    }
    if (id && this.#delivered.has(id)) return;
    const entries = [...this.#entries].filter(({ event }) => event === "*" || event === "message" || event === eventClass);
    if (entries.length === 0) return;
    this.#know(id);
    const results = entries.map(
      ({ listener, own: wanted }) =>
        new Promise((resolve) => {
          resolve(own && wanted === false ? undefined : listener(message));
        }),
    );
    Promise.all(results).then(
      () => {
        if (!id) return;
        this.#acknowledgements.add([id]).catch((error: unknown) => {
          this.#feed.failed(error);
        });
      },
      (error: unknown) => {
        // It comes again when what waits is read the next time.
        this.#delivered.delete(id);
        // As with any listener, the browser reports it as an uncaught error.
        queueMicrotask(() => {
          throw error;
        });
      },
    );
  }

  #know(id: string): void {
    if (!id) return;
    this.#delivered.add(id);
    const [oldest = ""] = this.#delivered;
    if (this.#delivered.size > KNOWN) this.#delivered.delete(oldest);
  }
}

const keepers = new WeakMap<Feed, Keeper>();

/** Adds a listener whose messages are acknowledged; see the option `ack` of `Channel.on()`. Returns a function that removes it. */
export function keep(
  connection: Connection,
  feed: Feed,
  event: string,
  listener: (message: InstantMessage) => unknown,
  { own }: MessageOptions,
): () => void {
  const keeper = keepers.get(feed) ?? new Keeper(connection, feed);
  keepers.set(feed, keeper);
  return keeper.add({ event, listener, own });
}
