import type { Connection } from "./connection.js";
import { Feed } from "./feed.js";
import { load } from "./load.js";
import { StateView } from "./state-view.js";
import type { Listeners } from "./listeners.js";
import { MessageQueue } from "./message-queue.js";
import { startRequest } from "./start-call.js";
import type {
  AckOptions,
  Call,
  ChannelStatus,
  Denial,
  EventName,
  History,
  HistoryOptions,
  InstantMessage,
  ListenOptions,
  LostInfo,
  MessageOptions,
  OnceOptions,
  Outgoing,
  OutstandingOptions,
  PayloadOf,
  Person,
  Position,
  Presence,
  RequestOptions,
  Right,
  StateOptions,
} from "./types.js";

/** For what a listener needs that waits for it however long it takes. */
const FOREVER = { timeout: 2 ** 31 - 1 };

/**
 * A handle of a channel. Handles of the same name share one subscription: it starts with the first
 * listener and ends 300 ms after the last listener is removed.
 */
export class Channel<Data = unknown> {
  readonly name: string;
  readonly #connection: Connection;
  readonly #removers = new Set<() => void>();

  /** @internal Use `Instant.channel()`. */
  constructor(name: string, connection: Connection) {
    this.name = name;
    this.#connection = connection;
  }

  get status(): ChannelStatus {
    return this.#feed.status;
  }

  /** The position in the channel's history up to which this page has had everything, if it is subscribed and there is one. */
  get position(): Position | undefined {
    return this.#feed.sequence.position;
  }

  /** While `status` is `denied`: `"revoked"` if this page was subscribed before, else `"refused"`. */
  get denial(): Denial | undefined {
    return this.#feed.denial;
  }

  /**
   * What the user may do in the channel besides listening. Django says so with every connection; for a
   * channel that needs no token Django is not asked, and the list is empty.
   */
  get rights(): readonly Right[] {
    return this.#feed.rights;
  }

  /**
   * Calls `listener` with every message of the event class; `"*"` and `"message"` stand for all messages.
   *
   * Returns a function that removes the listener. Aborting `options.signal` removes it too.
   */
  on<Name extends EventName>(
    event: Name,
    listener: (message: InstantMessage<PayloadOf<Name, Data>>) => unknown,
    options?: AckOptions,
  ): () => void {
    if (!options?.ack) return this.#hear(event, listener, options);
    const keeping = load("stored", FOREVER).then(({ keep }) =>
      keep(this.#connection, this.#feed, event, listener as (message: InstantMessage) => unknown, options),
    );
    const end = (): void => {
      void keeping.then((stop) => {
        stop();
      });
    };
    return this.#hear(event, () => undefined, options, end);
  }

  /**
   * Returns the next message of the event class, or the message whose id is `options.id`. A message with
   * that id which this page caused may have arrived already, because it races with Django's response.
   *
   * Rejects with `ChannelError` if the channel is denied and after `leave()`, and with the signal's reason
   * when `options.signal` aborts.
   */
  async once<Name extends EventName>(event: Name, options: OnceOptions = {}): Promise<InstantMessage<PayloadOf<Name, Data>>> {
    const { id, signal } = options;
    const arrived = id && this.#feed.sequence.seen.get(id);
    if (arrived) return arrived as InstantMessage<PayloadOf<Name, Data>>;
    const messages = this.each(event, options);
    const check = (): void => {
      if (this.status === "denied") void messages.return();
    };
    const off = this.onStatus(check, options);
    check();
    try {
      for await (const message of messages) if (!id || message.id === id) return message;
    } finally {
      off();
    }
    throw (signal?.aborted ? signal.reason : this.#feed.refusal("left", 0)) as Error;
  }

  /** Iterates over all messages; see `each()`. */
  [Symbol.asyncIterator](): AsyncGenerator<InstantMessage<Data>, void, undefined> {
    return this.each("*");
  }

  /**
   * Iterates over the messages of the event class. Messages that arrive between the call and the loop, or
   * while the loop's body runs, are queued. Leaving the loop removes the listener; `return()`,
   * `options.signal` and `leave()` end the loop, also from outside.
   */
  each<Name extends EventName>(
    event: Name,
    options?: MessageOptions,
  ): AsyncGenerator<InstantMessage<PayloadOf<Name, Data>>, void, undefined> {
    const messages = new MessageQueue<InstantMessage<PayloadOf<Name, Data>>>();
    messages.remove = this.#hear(
      event,
      (message: InstantMessage<PayloadOf<Name, Data>>) => {
        messages.push(message);
      },
      options,
      () => {
        messages.end();
      },
    );
    return messages;
  }

  /** Calls `listener` with the channel's status whenever it changes. */
  onStatus(listener: (status: ChannelStatus) => void, options?: ListenOptions): () => void {
    return this.#listen((feed) => feed.statuses, listener, options);
  }

  /**
   * Calls `listener` when messages were missed and the server no longer has them, so that the page can
   * load its state again. The channel is `lost` until the promise that the listener returns is fulfilled.
   */
  onLost(listener: (info: LostInfo) => unknown, options?: ListenOptions): () => void {
    return this.#listen((feed) => feed.gaps, listener, options);
  }

  /**
   * Calls `render` with the state of the channel, then with the state after each message, and the message.
   *
   * The first state is the one that `{% instant_state %}` has put into the page, else Django is asked for it.
   * Every message after it arrives once and in order. When messages were lost, or if the channel keeps none
   * and the connection was down, Django is asked for the state again.
   */
  state<State = Data>(
    render: (state: State, message?: InstantMessage<Data>) => void,
    { reduce, key, ...options }: StateOptions<State, Data> = {},
  ): () => void {
    const over = new AbortController();
    const { signal } = over;
    let state: State;
    const remove = this.#listen(
      (feed) => feed.messages,
      (message) => {
        view.receive(message);
      },
      { ...options, ...(key && { key: `${key} ` }) },
      () => {
        over.abort();
      },
    );
    if (signal.aborted) return remove;
    const view = new StateView(this.#feed, signal, (change) => {
      if ("channel" in change) {
        // The application declares the types; nothing can check them here.
        const message = change as InstantMessage<Data>;
        state = reduce ? reduce(state, message) : ((message.data ?? state) as State);
        render(state, message);
      } else render((state = change.data as State));
    });
    this.onStatus(
      (status) => {
        if (status === "live") view.check();
      },
      { signal },
    );
    this.onLost(() => view.reload(), { signal });
    return remove;
  }

  /**
   * Resolves when messages arrive, however long that takes. Rejects with `ChannelError` if the channel is
   * denied, or the page can't connect before somebody logs in or reloads it.
   */
  async subscribed(): Promise<void> {
    await this.#feed.call(() => Promise.resolve(), 0);
  }

  /** Calls `listener` with the people in the channel: once at the start, then whenever somebody joins or leaves. */
  onPresence(listener: (presence: Presence) => void, options?: ListenOptions): () => void {
    return this.#listen(
      (feed) => {
        feed.hearJoins();
        void load("calls", FOREVER).then(({ watchPresence }) => {
          watchPresence(this.#connection, feed);
        });
        return feed.presences;
      },
      listener,
      options,
    );
  }

  /** Returns who is in the channel now, by user. Rejects with `ChannelError` if that is not allowed. */
  async presence(): Promise<readonly Person[]> {
    const { presence } = await load("calls");
    return presence(this.#connection, this.#feed);
  }

  /** Returns past messages, oldest first by default. Rejects with `ChannelError` if that is not allowed. */
  async history(options: HistoryOptions = {}): Promise<History<Data>> {
    const { history } = await load("calls");
    return history(this.#connection, this.#feed, options) as Promise<History<Data>>;
  }

  /** Asks the responder that has the channel's name, with or without a `$` before it. See `Instant.request()`. */
  request<Result = unknown>(data?: unknown, options?: RequestOptions): Call<Result> {
    return startRequest<Result>(this.#connection, this.name, data, options);
  }

  /** Returns the stored messages that the user hasn't acknowledged, oldest first. Rejects with `RefusedError` if that is not allowed. */
  async outstanding(options: OutstandingOptions = {}): Promise<readonly InstantMessage<Data>[]> {
    const { outstanding } = await load("stored");
    return outstanding(this.#connection, this.#feed, options) as Promise<InstantMessage<Data>[]>;
  }

  /** Acknowledges stored messages by their ids. Resolves when Django knows. */
  async acknowledge(ids: readonly string[]): Promise<void> {
    const { acknowledge } = await load("stored");
    return acknowledge(this.#connection, ids);
  }

  /**
   * Publishes a message, if the channel allows browsers to publish. Resolves with the message as it arrives in
   * the channel, which is as `@on_publish` in Python has made it; with `undefined` where it does not arrive here,
   * because the user may publish in the channel but not listen, or because the connection broke on the way.
   *
   * Rejects with `ChannelError`, whose code is the handler's, or 1009 if the message is too large.
   */
  async publish<Name extends EventName = "*">(
    message: Outgoing<Name, PayloadOf<Name, Data>>,
  ): Promise<InstantMessage<PayloadOf<Name, Data>> | undefined> {
    const { publish } = await load("calls");
    return publish(this.#connection, this.#feed, message) as Promise<InstantMessage<PayloadOf<Name, Data>> | undefined>;
  }

  /**
   * Publishes what nobody keeps: no history, no store, for those who listen now. Django decides as for `publish()`,
   * and `client_publish` must be `"ask"`.
   */
  async whisper<Name extends EventName>(event: Name, data?: PayloadOf<Name, Data>): Promise<void> {
    const { whisper } = await load("calls");
    return whisper(this.#connection, this.#feed, event, data);
  }

  /** Removes the listeners that were added through this handle. Other handles of the channel keep theirs. */
  leave(): void {
    for (const remove of [...this.#removers]) remove();
  }

  /** The feed that is in use, else a new one; `Connection` keeps it when it gets its first listener. */
  get #feed(): Feed {
    return this.#connection.feeds.get(this.name) ?? new Feed(this.name, this.#connection);
  }

  #hear<Payload>(
    event: string,
    listener: (message: InstantMessage<Payload>) => unknown,
    options?: MessageOptions,
    removed?: () => void,
  ): () => void {
    const isAll = event === "*" || event === "message";
    const key = options?.key && `${options.key} ${isAll ? "*" : event}`;
    return this.#listen(
      (feed) => feed.messages,
      (message) => {
        if (message.own && options?.own === false) return;
        // The application declares the payload's type; nothing can check it here.
        if (isAll || message.eventClass === event) listener(message as InstantMessage<Payload>);
      },
      { ...options, ...(key && { key }) },
      removed,
    );
  }

  #listen<Value>(
    of: (feed: Feed) => Listeners<Value>,
    listener: (value: Value) => unknown,
    options: ListenOptions = {},
    removed?: () => void,
  ): () => void {
    if (options.signal?.aborted) {
      removed?.();
      return () => undefined;
    }
    const feed = this.#feed;
    const remove = of(feed).add(listener, options, () => {
      this.#removers.delete(remove);
      feed.release();
      removed?.();
    });
    this.#removers.add(remove);
    feed.hold(options.since);
    return remove;
  }
}
