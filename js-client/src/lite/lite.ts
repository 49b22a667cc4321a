import { Listeners } from "../listeners.js";
import type { ChannelStatus, InstantMessage, ListenOptions, LostInfo, MessageOptions, PayloadOf, EventName, Status } from "../types.js";
import { Feed, type Publication, type Start } from "./feed.js";

/** Milliseconds in which channels are collected; then until a connection must have begun. */
const COLLECT = 20;
const PATIENCE = 10_000;
/** Milliseconds after which a channel without a listener is left. */
const GRACE = 300;
/** The shortest and the longest time between attempts. */
const RETRY_FROM = 500;
const RETRY_TO = 20_000;
/** Codes from here to the next thousand say that other attempts help nobody: 3500, and 4500 of ours. */
const FINAL = 500;
/** With these the server ends a subscription because messages are missing. */
const AGAIN = 2500;

/** The options of `createLite()`. */
export interface LiteOptions {
  /** The address of Django's view: `/instant/lite/`. */
  readonly url: string;
  /** Which ways are tried, in turn. @default ["fetch", "sse"], as far as the browser has them */
  readonly ways?: readonly ("fetch" | "sse")[];
}

/** What Django answers. */
interface Opening {
  readonly urls: readonly string[];
  readonly token?: string;
  readonly ticket?: string;
}
interface Granted {
  readonly channels: Readonly<Record<string, { readonly name: string; readonly publications?: readonly Publication[] }>>;
  readonly unknown: readonly string[];
}

interface Push {
  readonly connect?: { readonly ping?: number; readonly session: string };
  readonly channel?: string;
  readonly subscribe?: Start;
  readonly pub?: Publication;
  readonly unsubscribe?: { readonly code: number };
  readonly disconnect?: { readonly code: number };
}

/** A page's one-way connection. It begins with the first listener of a channel. */
export class Lite {
  status: Status = "idle";
  readonly #statuses = new Listeners<Status>();
  readonly #feeds = new Map<string, Feed>();
  readonly #url: string;
  readonly #ways: readonly string[];
  #over = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #failures = 0;
  #way = 0;

  /** @internal Use `createLite()`. */
  constructor({ url, ways }: LiteOptions) {
    this.#url = url;
    this.#ways = ways ?? [
      ...("TextDecoderStream" in globalThis ? ["fetch"] : []),
      ...("EventSource" in globalThis ? ["sse"] : []),
    ];
    // What the back/forward cache keeps has no connection.
    addEventListener("pagehide", () => { this.#end("idle"); });
    addEventListener("pageshow", ({ persisted }) => { if (persisted) this.#soon(COLLECT); });
    addEventListener("online", () => { if (this.status === "offline") this.#soon(0); });
  }

  /** Calls `listener` with the status whenever it changes. */
  on(_event: "status", listener: (status: Status) => unknown, options?: ListenOptions): () => void {
    return this.#statuses.add(listener, options);
  }

  channel<Data = unknown>(name: string): LiteChannel<Data> {
    return new LiteChannel<Data>(name, (options, of, listener) => this.#listen(name, options, of, listener), () => this.#feeds.get(name));
  }

  #listen<Value>(
    name: string,
    options: ListenOptions | undefined,
    of: (feed: Feed) => Listeners<Value>,
    listener: (value: Value) => unknown,
  ): () => void {
    const feed = this.#feeds.get(name) ?? new Feed(name);
    if (options?.signal?.aborted) return () => undefined;
    feed.holders++;
    const remove = of(feed).add(listener, options, () => {
      feed.holders--;
      setTimeout(() => {
        // The channel may have been left before, and have another one by now.
        if (this.#feeds.get(name) !== feed || feed.holders) return;
        this.#feeds.delete(name);
        feed.set("idle");
        this.#soon(0);
      }, GRACE);
    });
    if (!this.#feeds.has(name)) {
      this.#feeds.set(name, feed);
      feed.set("subscribing");
      this.#soon(COLLECT);
    }
    return remove;
  }

  #set(status: Status): void {
    if (status === this.status) return;
    this.status = status;
    this.#statuses.emit(status);
  }

  /** Begins anew after so many milliseconds. */
  #soon(wait: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#open(), wait);
  }

  #end(status: Status): void {
    clearTimeout(this.#timer);
    this.#over.abort();
    this.#set(status);
    for (const feed of this.#feeds.values()) if (feed.status !== "denied") feed.restart();
  }

  #fail(): void {
    this.#end("offline");
    this.#soon(Math.random() * Math.min(RETRY_TO, RETRY_FROM * 2 ** this.#failures));
    // The other way, until one works.
    if (this.#failures++) this.#way++;
  }

  async #open(): Promise<void> {
    const { size } = this.#feeds;
    this.#end(size ? "connecting" : "idle");
    if (!size) return;
    const { signal } = (this.#over = new AbortController());
    const fail = (): void => { if (!signal.aborted) this.#fail(); };
    let timer: ReturnType<typeof setTimeout> | undefined;
    let patience = PATIENCE;
    // Until it has begun, then from one push to the next. Whatever comes after the end of this one does nothing.
    const wait = (): void => {
      clearTimeout(timer);
      timer = setTimeout(fail, patience);
    };
    wait();
    const ask = async <Answer>(body: object): Promise<Answer> => {
      const response = await fetch(this.#url, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(body),
        signal,
      });
      if (response.status === 403 && way !== "sse") this.#end("signed-out");
      const answer = (await response.json()) as Answer & { readonly error?: string };
      // What is wrong with the page. The rest is missing then, by which whoever has asked fails.
      // eslint-disable-next-line no-console
      if (answer.error) console.error(answer.error);
      signal.throwIfAborted();
      return answer;
    };
    const feeds = new Map<string, Feed>();
    // Of channels whose names on the server are to come with Django's answer.
    let early: Push[] | undefined = [];
    const take = (push: Push): void => {
      const { channel = "", subscribe, pub, unsubscribe } = push;
      if (early) {
        early.push(push);
        return;
      }
      const feed = feeds.get(channel);
      if (subscribe) feed?.begin(subscribe);
      if (pub) feed?.receive(pub);
      if (unsubscribe && unsubscribe.code < AGAIN) feed?.set("denied");
      else if (unsubscribe) fail();
    };
    const subscribe = async (session: string): Promise<void> => {
      const wanted = new Map(this.#feeds);
      const { channels, unknown } = await ask<Granted>({
        session,
        channels: Object.fromEntries([...wanted].map(([name, { position }]) => [name, position ?? null])),
      });
      for (const [name, feed] of wanted) {
        const found = channels[name];
        if (found) {
          feeds.set(found.name, feed);
          feed.restart();
          feed.begin(undefined, found.publications ?? []);
        } else if (!unknown.includes(name)) feed.set("denied");
      }
      // What Django can't tell now is asked again.
      if (unknown.length) this.#soon(RETRY_TO);
      const all = early as Push[];
      early = undefined;
      all.forEach(take);
      this.#failures = 0;
      this.#set("live");
    };
    const receive = (text: string): void => {
      if (signal.aborted || !text.trim()) return;
      const push = JSON.parse(text) as Push;
      const { connect, disconnect } = push;
      if (connect) {
        patience += (connect.ping ?? 0) * 1000;
        subscribe(connect.session).catch(fail);
      }
      wait();
      if (push.channel) take(push);
      if (!disconnect) return;
      if (disconnect.code % 1000 >= FINAL) this.#end("stopped");
      else fail();
    };
    const way = this.#ways[this.#way % this.#ways.length];
    try {
      const { urls, token, ticket } = await ask<Opening>({ ticket: way === "sse" });
      const url = urls[this.#failures % urls.length] as string;
      if (way === "sse") {
        const connect = encodeURIComponent(JSON.stringify({ data: { ticket } }));
        // Its URL opens one connection: it is closed before it would ask with it again.
        const source = new EventSource(`${url}uni_sse?cf_connect=${connect}`, { withCredentials: true });
        signal.addEventListener("abort", () => { source.close(); });
        source.onmessage = ({ data }) => { receive(data as string); };
        source.onerror = fail;
        return;
      }
      // As text, so that another origin is not asked beforehand.
      const stream = await fetch(`${url}uni_http_stream`, { method: "POST", body: JSON.stringify({ token }), signal, credentials: "omit" });
      const reader = stream.ok && stream.body?.pipeThrough(new TextDecoderStream()).getReader();
      for (let rest = ""; reader; ) {
        const { done, value } = await reader.read();
        if (done) break;
        const lines = (rest + value).split("\n");
        rest = lines.pop() as string;
        lines.forEach(receive);
      }
      fail();
    } catch {
      fail();
    }
  }
}

type Listen = <Value>(options: ListenOptions | undefined, of: (feed: Feed) => Listeners<Value>, listener: (value: Value) => unknown) => () => void;

/** A channel of which a page only hears. */
export class LiteChannel<Data = unknown> {
  readonly name: string;
  readonly #listen: Listen;
  readonly #feed: () => Feed | undefined;

  /** @internal Use `Lite.channel()`. */
  constructor(name: string, listen: Listen, feed: () => Feed | undefined) {
    this.name = name;
    this.#listen = listen;
    this.#feed = feed;
  }

  get status(): ChannelStatus {
    return this.#feed()?.status ?? "idle";
  }

  /** Calls `listener` with every message of the event class; `"*"` and `"message"` stand for all messages. */
  on<Name extends EventName>(
    event: Name,
    listener: (message: InstantMessage<PayloadOf<Name, Data>>) => unknown,
    options?: MessageOptions,
  ): () => void {
    return this.#listen(
      options?.key ? { ...options, key: `${options.key} ${event}` } : options,
      (feed) => feed.messages,
      (message) => {
        // The application declares the payload's type; nothing can check it here.
        return ["*", "message", message.eventClass].includes(event) && listener(message as InstantMessage<PayloadOf<Name, Data>>);
      },
    );
  }

  /** Calls `listener` with the channel's status whenever it changes. */
  onStatus(listener: (status: ChannelStatus) => unknown, options?: ListenOptions): () => void {
    return this.#listen(options, (feed) => feed.statuses, listener);
  }

  /** Calls `listener` when messages were missed that the server no longer has. */
  onLost(listener: (info: LostInfo) => unknown, options?: ListenOptions): () => void {
    return this.#listen(options, (feed) => feed.gaps, listener);
  }
}

/** Creates a connection that only listens. */
export function createLite(options: LiteOptions): Lite {
  return new Lite(options);
}
