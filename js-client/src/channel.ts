import type { Connection } from "./connection.js";
import { ChannelError } from "./errors.js";
import { Feed } from "./feed.js";
import { createId } from "./tab.js";
import { askHistory, askPresence } from "./ask.js";
import type { Listeners } from "./listeners.js";
import { byUser } from "./presence.js";
import type {
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
  PayloadOf,
  Person,
  Presence,
  Right,
} from "./types.js";

/**
 * One user's handle of a channel. Handles of the same name share one subscription, which begins with
 * the first listener of any of them and ends a moment after the last one left.
 */
export class Channel<Data = unknown> {
  readonly name: string;
  readonly #connection: Connection;
  readonly #removers = new Set<() => void>();

  /** @internal `Instant.channel()` makes them. */
  constructor(name: string, connection: Connection) {
    this.name = name;
    this.#connection = connection;
  }

  get status(): ChannelStatus {
    return this.#feed.status;
  }

  /** While `denied`: `"revoked"` when this page had the channel, else `"refused"`. */
  get denial(): Denial | undefined {
    return this.#feed.denial;
  }

  /**
   * What the user may do here besides listening, as Django last granted it; told anew with each connection.
   * Of a channel that needs no token nothing is known: Django is not asked for it.
   */
  get rights(): readonly Right[] {
    return this.#feed.rights;
  }

  /**
   * Calls `listener` with every message of that event class; `"*"` or `"message"` means all.
   *
   * Returns a function that removes the listener, as does `options.signal`.
   */
  on<Name extends EventName>(
    event: Name,
    listener: (message: InstantMessage<PayloadOf<Name, Data>>) => void,
    options?: MessageOptions,
  ): () => void {
    return this.#hear(event, listener, options);
  }

  /**
   * The next message of that event class; or the one with `options.id`, which may have arrived lately where
   * it is the page's own: Django's answer and its message race.
   *
   * Rejects with the reason of `options.signal` when it aborts, and with `ChannelError` after `leave()`.
   */
  async once<Name extends EventName>(event: Name, options: OnceOptions = {}): Promise<InstantMessage<PayloadOf<Name, Data>>> {
    const { id, signal } = options;
    const arrived = id && this.#feed.sequence.seen.get(id);
    if (arrived) return arrived as InstantMessage<PayloadOf<Name, Data>>;
    for await (const message of this.each(event, options)) if (!id || message.id === id) return message;
    throw (signal?.reason ?? new ChannelError("left", { channel: this.name, code: 0 })) as Error;
  }

  /** All messages, for `for await`; see `each()`. */
  [Symbol.asyncIterator](): AsyncGenerator<InstantMessage<Data>, void, undefined> {
    return this.each("*");
  }

  /**
   * The messages of that event class, for `for await`. They wait while the loop is busy. Leaving the
   * loop removes the listener; `options.signal` and `leave()` end the loop.
   */
  async *each<Name extends EventName>(
    event: Name,
    options?: MessageOptions,
  ): AsyncGenerator<InstantMessage<PayloadOf<Name, Data>>, void, undefined> {
    const waiting: InstantMessage<PayloadOf<Name, Data>>[] = [];
    let wake = (): void => undefined;
    // Set to false by whatever removes the listener, which the compiler can't see.
    let isOpen = true as boolean;
    const remove = this.#hear(
      event,
      (message: InstantMessage<PayloadOf<Name, Data>>) => {
        waiting.push(message);
        wake();
      },
      options,
      () => {
        isOpen = false;
        wake();
      },
    );
    try {
      while (isOpen) {
        const message = waiting.shift();
        if (message) yield message;
        else await new Promise<void>((resolve) => (wake = resolve));
      }
    } finally {
      remove();
    }
  }

  /** Calls `listener` when the channel's status changes. */
  onStatus(listener: (status: ChannelStatus) => void, options?: ListenOptions): () => void {
    return this.#listen((feed) => feed.statuses, listener, options);
  }

  /**
   * Calls `listener` when messages were missed that the server no longer has: load the state again.
   * The channel is `lost` until the promise that it returns is fulfilled.
   */
  onLost(listener: (info: LostInfo) => unknown, options?: ListenOptions): () => void {
    return this.#listen((feed) => feed.gaps, listener, options);
  }

  /** Calls `listener` with who is here, at first and whenever somebody comes or goes. */
  onPresence(listener: (presence: Presence) => void, options?: ListenOptions): () => void {
    return this.#listen(
      (feed) => {
        feed.hearJoins();
        return feed.presences;
      },
      listener,
      options,
    );
  }

  /**
   * Who is here now, by user. Rejects with `ChannelError` where neither message server nor Django tells.
   */
  async presence(): Promise<readonly Person[]> {
    const { clients } = await this.#feed.call((subscription) => askPresence(subscription, this.#connection.django));
    return [...byUser(Object.values(clients)).values()];
  }

  /** Past messages, oldest first. Rejects with `ChannelError` where neither message server nor Django tells. */
  async history(options: HistoryOptions = {}): Promise<History<Data>> {
    const feed = this.#feed;
    const { publications, offset, epoch } = await feed.call((subscription) =>
      askHistory(subscription, this.#connection.django, options),
    );
    const messages = publications.map((publication) => feed.message(publication, false) as InstantMessage<Data>);
    return { messages, offset, epoch };
  }

  /**
   * Publishes from here, where the channel lets browsers do that. Returns the message's id, which
   * listeners see too. Rejects with `ChannelError`.
   */
  async publish<Name extends EventName = "*">(message: Outgoing<Name, PayloadOf<Name, Data>>): Promise<string> {
    const { id = createId(), eventClass, ...rest } = message;
    const body = { channel: this.name, ...rest, event_class: eventClass, id, tab: this.#connection.tab };
    await this.#feed.call((subscription) => subscription.publish(body));
    return id;
  }

  /** Removes the listeners of this handle; other handles of the channel go on. */
  leave(): void {
    for (const remove of [...this.#removers]) remove();
  }

  /** A new one where nobody listens yet, which is kept when somebody does. */
  get #feed(): Feed {
    return this.#connection.feeds.get(this.name) ?? new Feed(this.name, this.#connection);
  }

  #hear<Payload>(
    event: string,
    listener: (message: InstantMessage<Payload>) => void,
    options?: MessageOptions,
    removed?: () => void,
  ): () => void {
    const isAll = event === "*" || event === "message";
    return this.#listen(
      (feed) => feed.messages,
      (message) => {
        if (message.own && options?.own === false) return;
        // The payload's type is the application's claim; nothing can check it here.
        if (isAll || message.eventClass === event) listener(message as InstantMessage<Payload>);
      },
      options,
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
    feed.hold();
    return remove;
  }
}
