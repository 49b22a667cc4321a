import type { Channel } from "../channel.js";
import type { ListenOptions } from "../types.js";
import { post, Refused } from "./post.js";

/**
 * - `none`: nothing was written yet, or nobody knows yet whether
 * - `writing`: more follows
 * - `done`: the text is whole
 * - `failed`: an exception ended it
 * - `interrupted`: whoever wrote it is gone, and may come back
 * - `cancelled`: somebody has stopped it
 * - `denied`: the user may not read it
 */
export type StreamState = "none" | "writing" | "done" | "failed" | "interrupted" | "cancelled" | "denied";

/** What a listener of a stream gets beside the text. */
export interface StreamUpdate {
  /** What was appended. */
  readonly chunk: string;
  /** True if a text begins: what was there before is gone. */
  readonly reset: boolean;
  readonly state: StreamState;
  /** True if nothing follows because the text is whole, or because somebody has stopped it. */
  readonly done: boolean;
  /** True if the text is not whole: `failed`, `interrupted` or `denied`. */
  readonly error: boolean;
}

/** Addresses of Django's views. */
export interface StreamUrls {
  readonly text: string;
  readonly stop: string;
}

/** What a page has of a stream already. */
export interface StreamStart {
  readonly run: string;
  readonly text: string;
  /** Where it ends, in the stream's own text. */
  readonly length: number;
  /** Missing if more of it is there. */
  readonly state?: StreamState | undefined;
}

export interface StreamOptions {
  /** @default those of `include("instant.urls")` at `instant/` */
  readonly urls?: StreamUrls;
  /** What the page begins with; else Django is asked. */
  readonly start?: StreamStart;
  /** True: listens on after the end, because another text may follow on the same channel. @default false */
  readonly follow?: boolean;
}

/** Thrown by the iterator of a stream whose text is not whole. */
export class StreamError extends Error {
  override readonly name = "StreamError";
  readonly state: StreamState;

  constructor(state: StreamState) {
    super(`The stream is ${state}`);
    this.state = state;
  }
}

/** Django's messages and answers: text at a position, or how far there is text to be fetched. */
interface Part {
  readonly run: string;
  readonly at: number;
  readonly text?: string;
  readonly until?: number;
  readonly state?: StreamState;
  /** A sign of life: nothing but that somebody still writes. */
  readonly alive?: boolean;
  /** In answers: how long the text is. */
  readonly length?: number;
}

/** What the page knew when it asked. */
interface Asked {
  readonly run: string;
  readonly state: StreamState;
}

type Listener = (text: string, update: StreamUpdate) => void;

const URLS: StreamUrls = { text: "/instant/streams/", stop: "/instant/streams/stop/" };
const EVENT = "instant:stream";
/**
 * Milliseconds without a message after which Django is asked whether somebody still writes, who gives a sign of life
 * every five seconds. Who has gave none is gone for Django, too, by then: their lease is over ten seconds after the last.
 */
const QUIET = 13_000;
/** The next time twice as many, and no more than these. All of them get up to a third more, each page its own. */
const MOST_QUIET = 60_000;
/** Milliseconds after which Django is asked without a connection. */
const PATIENCE = 2000;
/** Milliseconds between two requests for what messages were too small for. */
const BETWEEN = 250;
const LONGEST_PAUSE = 10_000;

const ENDS: readonly StreamState[] = ["done", "failed", "cancelled"];

/**
 * The text that Django writes to a channel, whole and in order, wherever the page begins.
 *
 * Each part says where it belongs. What is there already is skipped, and what is missing is fetched, so
 * nothing is lost or doubled, however messages and answers come between each other.
 */
export class TextStream implements AsyncIterable<string> {
  readonly #channel: Channel;
  readonly #urls: StreamUrls;
  readonly #follow: boolean;
  readonly #listeners = new Set<Listener>();
  #text: string;
  #run: string;
  #length: number;
  #state: StreamState;
  #removers: readonly (() => void)[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #asking: Promise<void> | undefined;
  #isAskedAgain = false;
  #hasAsked = false;
  #askedAt = 0;
  /** How often Django was asked since the last message because there was none. */
  #silences = 0;

  /** @internal Use `stream()`. */
  constructor(channel: Channel, { urls = URLS, start, follow = false }: StreamOptions = {}) {
    this.#channel = channel;
    this.#urls = urls;
    this.#follow = follow;
    this.#text = start?.text ?? "";
    this.#run = start?.run ?? "";
    this.#length = start?.length ?? 0;
    this.#state = start?.state ?? "none";
  }

  /** The text so far. */
  get text(): string {
    return this.#text;
  }

  get state(): StreamState {
    return this.#state;
  }

  /**
   * Calls `listener` with the text so far, and whenever it grows or its state changes. Returns a function that
   * removes the listener. The first listener subscribes to the channel, the end of the text lets it go.
   */
  onText(listener: Listener, { signal }: Pick<ListenOptions, "signal"> = {}): () => void {
    if (signal?.aborted) return () => undefined;
    const own: Listener = (text, update) => { listener(text, update); };
    const remove = (): void => {
      signal?.removeEventListener("abort", remove);
      if (this.#listeners.delete(own) && !this.#listeners.size) this.#release();
    };
    signal?.addEventListener("abort", remove);
    this.#listeners.add(own);
    listener(this.#text, this.#update(this.#text));
    if (this.#listeners.size === 1) this.#begin();
    return remove;
  }

  /** Asks Django to stop writing, which whoever it is written for may do. Tells whether there was anything to stop. */
  async stop(): Promise<boolean> {
    const { stopped } = (await post(this.#urls.stop, { channel: this.#channel.name })) as { stopped: boolean };
    return stopped;
  }

  /**
   * Iterates over the text in the pieces in which it arrives, from its beginning. Throws `StreamError` after
   * what is there, if the text is not whole or begins anew.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<string, void, undefined> {
    const updates: StreamUpdate[] = [];
    let wake = (): void => undefined;
    const remove = this.onText((_text, update) => {
      updates.push(update);
      wake();
    });
    try {
      for (let hasBegun = false; ; ) {
        const update = updates.shift();
        if (!update) {
          await new Promise<void>((resolve) => { wake = resolve; });
          continue;
        }
        if (update.reset && hasBegun) throw new StreamError("interrupted");
        hasBegun ||= update.chunk !== "";
        if (update.chunk) yield update.chunk;
        if (update.done) return;
        if (update.error) throw new StreamError(update.state);
      }
    } finally {
      remove();
    }
  }

  #begin(): void {
    if (ENDS.includes(this.#state) && !this.#follow) return;
    const channel = this.#channel;
    this.#removers = [
      channel.on(EVENT, ({ client, data }) => {
        // What a page has published is not Django's.
        if (client || !isPart(data)) return;
        this.#silences = 0;
        if (data.alive) this.#hearAlive(data);
        else this.#take(data);
      }),
      channel.onLost(() => this.#ask()),
      channel.onStatus((status) => {
        // From here on no message is missed. What came before is fetched.
        if (status === "live") void this.#ask();
        if (status === "denied") this.#become("denied");
      }),
    ];
    if (channel.status === "live") void this.#ask();
    this.#wait();
  }

  #release(): void {
    clearTimeout(this.#timer);
    this.#isAskedAgain = false;
    for (const remove of this.#removers) remove();
    this.#removers = [];
  }

  /** Asks Django when it has been quiet for some time: whoever writes may be gone without a word. */
  #wait(): void {
    clearTimeout(this.#timer);
    if (!this.#removers.length) return;
    const quiet = Math.min(QUIET * 2 ** this.#silences, MOST_QUIET) * (1 + Math.random() / 3);
    const after = { none: this.#hasAsked ? 0 : PATIENCE, writing: quiet }[this.#state as string];
    if (!after) return;
    this.#timer = setTimeout(() => {
      this.#silences += 1;
      void this.#ask();
    }, after);
  }

  /** It may have been overtaken by the end, so it changes nothing: where it isn't what the page knows, Django is asked. */
  #hearAlive({ run, at }: Part): void {
    const isSame = run === this.#run;
    if (this.#state === "denied" || (isSame && ENDS.includes(this.#state))) return;
    if (!isSame || at > this.#length || this.#state !== "writing") void this.#ask();
    else this.#wait();
  }

  /** Fetches what is missing, until nothing is. */
  #ask(): Promise<void> {
    this.#isAskedAgain = true;
    return (this.#asking ??= this.#askAll().finally(() => {
      this.#asking = undefined;
      this.#wait();
    }));
  }

  async #askAll(): Promise<void> {
    for (let failures = 0, hasMore = false; this.#isAskedAgain; ) {
      const wait = this.#askedAt + BETWEEN - Date.now();
      if (wait > 0 && !hasMore) await pause(wait);
      this.#isAskedAgain = false;
      try {
        this.#askedAt = Date.now();
        const body = { channel: this.#channel.name, run: this.#run, after: this.#length };
        const asked = { run: this.#run, state: this.#state };
        const part = (await post(this.#urls.text, body)) as Part;
        failures = 0;
        if (!this.#listeners.size) return;
        this.#hasAsked = true;
        this.#take(part, asked);
        hasMore = this.#length < (part.length ?? 0);
      } catch (error) {
        if (!this.#listeners.size) return;
        if (error instanceof Refused) {
          this.#become("denied");
          return;
        }
        this.#isAskedAgain = true;
        await pause(Math.min(BETWEEN * 2 ** failures++, LONGEST_PAUSE));
      }
    }
  }

  #take(part: Part, asked?: Asked): void {
    const { run, at, text = "", state = "writing" } = part;
    if (!run) {
      // Nothing was written, or it was deleted: what the page has stays, and nobody writes it.
      if (!this.#run) this.#become("none", "", this.#state === "denied");
      else if (this.#state === "writing") this.#become("interrupted");
      return;
    }
    const isNew = run !== this.#run;
    if ((isNew && at > 0) || (asked && this.#isOvertaken(asked, part))) {
      void this.#ask();
      return;
    }
    if (isNew) {
      this.#run = run;
      this.#text = "";
      this.#length = 0;
    }
    const chunk = at <= this.#length ? text.slice(this.#length - at) : "";
    this.#text += chunk;
    this.#length += chunk.length;
    const end = part.length ?? part.until ?? at + text.length;
    // What was overtaken by a newer one says nothing of the state, and neither does what goes on.
    const isOld = end < this.#length || (!asked && !part.state && text !== "" && !chunk);
    const isWhole = end === this.#length && !isOld;
    if (end > this.#length) void this.#ask();
    this.#become(isWhole ? state : isNew || chunk ? "writing" : this.#state, chunk, isNew);
    if (!asked) this.#wait();
  }

  /** Tells whether a message has said something else after Django was asked: then its answer may be older. */
  #isOvertaken(asked: Asked, { run, at, text = "", state }: Part): boolean {
    if (run !== this.#run) return asked.run !== this.#run;
    return asked.state !== this.#state && state !== this.#state && at + text.length === this.#length;
  }

  #become(state: StreamState, chunk = "", reset = false): void {
    if (state === this.#state && !chunk && !reset) return;
    this.#state = state;
    const update = this.#update(chunk, reset);
    for (const listener of [...this.#listeners]) listener(this.#text, update);
    if (ENDS.includes(state) && !this.#follow) this.#release();
  }

  #update(chunk: string, reset = false): StreamUpdate {
    const state = this.#state;
    return {
      chunk,
      reset,
      state,
      done: state === "done" || state === "cancelled",
      error: state === "failed" || state === "interrupted" || state === "denied",
    };
  }
}

function isPart(data: unknown): data is Part {
  const { run, at } = (data ?? {}) as Partial<Record<keyof Part, unknown>>;
  return typeof run === "string" && typeof at === "number";
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => { setTimeout(resolve, milliseconds); });
}
