import type { Centrifuge, PublicationContext, SubscribedContext, Subscription } from "centrifuge";

import { ChannelError } from "./errors.js";
import { type Grants, TOKEN_EXPIRED } from "./grants.js";
import { isRecord, text } from "./json.js";
import { Listeners } from "./listeners.js";
import type { ChannelStatus, EventName, InstantMessage, ListenOptions, LostInfo, PayloadOf } from "./types.js";

/** Milliseconds to stay subscribed without a listener: a page fragment that is replaced comes back. */
const GRACE = 300;
/** Milliseconds between attempts to subscribe: an expired token must cost no visible pause. */
const RESUBSCRIBE_FROM = 20;
const RESUBSCRIBE_TO = 20_000;

/** What a feed needs from the connection that it belongs to. */
export interface Host {
  readonly grants: Grants;
  /** The SDK's client, where there is one already. */
  readonly client: Centrifuge | undefined;
  /** A feed has its first listener. */
  opened(feed: Feed): void;
  /** A feed lost its last listener a while ago. */
  closed(feed: Feed): void;
  lost(info: LostInfo): void;
  failed(error: ChannelError): void;
  /** Maps what a token request threw to what the SDK understands. */
  guard(request: () => Promise<string>): Promise<string>;
}

/** The one subscription of a page to a channel, shared by its `Channel` handles. */
export class Feed {
  readonly name: string;
  readonly messages = new Listeners<InstantMessage>();
  readonly statuses = new Listeners<ChannelStatus>();
  readonly losses = new Listeners<LostInfo>();
  readonly #host: Host;
  #users = 0;
  #status: ChannelStatus = "idle";
  #subscription: Subscription | undefined;
  #grace: ReturnType<typeof setTimeout> | undefined;
  #position: { readonly epoch: string; offset: number } | undefined;
  #replaying = false;

  constructor(name: string, host: Host) {
    this.name = name;
    this.#host = host;
  }

  get status(): ChannelStatus {
    return this.#status;
  }

  /** True while it has listeners, or had one a moment ago. */
  get isHeld(): boolean {
    return this.#status !== "idle";
  }

  /** One more listener. */
  hold(): void {
    this.#users += 1;
    clearTimeout(this.#grace);
    if (this.isHeld) return;
    this.#set("subscribing");
    this.open();
    this.#host.opened(this);
  }

  /** One listener less. */
  release(): void {
    this.#users -= 1;
    if (this.#users > 0) return;
    this.#grace = setTimeout(() => {
      this.#close();
    }, GRACE);
  }

  /** Subscribes, where there is a client to do it with. */
  open(): void {
    const { client, grants } = this.#host;
    if (client === undefined || this.#subscription !== undefined) return;
    const token = grants.readyToken(this.name);
    const subscription = client.newSubscription(this.name, {
      ...(token !== undefined && { token }),
      getToken: () => this.#host.guard(() => grants.channelToken(this.name)),
      minResubscribeDelay: RESUBSCRIBE_FROM,
      maxResubscribeDelay: RESUBSCRIBE_TO,
    });
    this.#subscription = subscription;
    subscription.on("subscribing", () => {
      this.#set("subscribing");
    });
    subscription.on("subscribed", (context) => {
      this.#subscribed(context);
    });
    subscription.on("unsubscribed", ({ code }) => {
      // 0 is our own unsubscribe(); any other end is somebody else's decision.
      if (code !== 0) this.#set("denied");
    });
    subscription.on("error", ({ error }) => {
      // An expired token is replaced at once and nobody's concern.
      if (error.code !== TOKEN_EXPIRED) this.#host.failed(new ChannelError(error.message, this.name, error.code));
    });
    subscription.on("publication", (publication) => {
      this.#published(publication);
    });
    subscription.subscribe();
  }

  /** Django left it out of a grant. */
  deny(): void {
    this.#set("denied");
    this.#subscription?.unsubscribe();
  }

  /** Asks again for a channel that was denied. */
  retry(): void {
    if (this.#status === "denied") this.#subscription?.subscribe();
  }

  #close(): void {
    this.#set("idle");
    const subscription = this.#subscription;
    this.#subscription = undefined;
    this.#position = undefined;
    if (subscription !== undefined) {
      subscription.removeAllListeners();
      this.#host.client?.removeSubscription(subscription);
    }
    this.#host.closed(this);
  }

  #set(status: ChannelStatus): void {
    if (status === this.#status) return;
    this.#status = status;
    this.statuses.emit(status);
  }

  #subscribed({ wasRecovering, recovered, hasRecoveredPublications, streamPosition }: SubscribedContext): void {
    const isLost = wasRecovering && !recovered;
    const isReturn = this.#position !== undefined;
    // Only what was delivered counts: a channel that keeps its newest value sends it right after this.
    if (this.#position?.epoch !== streamPosition?.epoch) {
      this.#position = streamPosition && { epoch: streamPosition.epoch, offset: 0 };
    }
    // The SDK hands over what was missed before it returns to the event loop. What comes with the first
    // subscription is the newest value, which nobody missed.
    this.#replaying = isReturn && hasRecoveredPublications;
    queueMicrotask(() => {
      this.#replaying = false;
    });
    this.#set("live");
    if (!isLost) return;
    const info: LostInfo = { channel: this.name };
    this.losses.emit(info);
    this.#host.lost(info);
  }

  #published(publication: PublicationContext): void {
    const { offset } = publication;
    if (offset !== undefined && this.#position !== undefined) {
      if (offset <= this.#position.offset) return;
      this.#position.offset = offset;
    }
    const content: unknown = publication.data;
    // Somebody may publish past Django: then the whole content is the data.
    const body = isRecord(content) ? content : { data: content };
    this.messages.emit({
      // A broadcast names no channel: the one it came through is the one that counts.
      channel: this.name,
      message: text(body["message"]),
      data: body["data"],
      eventClass: text(body["event_class"]),
      bucket: text(body["bucket"]),
      site: text(body["site"]),
      ...(offset !== undefined && { offset }),
      recovered: this.#replaying,
      date: new Date(),
    });
  }
}

/**
 * One user's handle of a channel. Handles of the same name share one subscription, which begins with
 * the first listener of any of them and ends a moment after the last one left.
 */
export class Channel<Data = unknown> {
  readonly name: string;
  readonly #feed: () => Feed;
  readonly #removers = new Set<() => void>();

  /** @internal `Instant.channel()` makes them. */
  constructor(name: string, feed: () => Feed) {
    this.name = name;
    this.#feed = feed;
  }

  get status(): ChannelStatus {
    return this.#feed().status;
  }

  /**
   * Calls `listener` with every message of that event class; `"*"` or `"message"` means all.
   *
   * Returns a function that removes the listener, as does `options.signal`.
   */
  on<Name extends EventName>(
    event: Name,
    listener: (message: InstantMessage<PayloadOf<Name, Data>>) => void,
    options?: ListenOptions,
  ): () => void {
    const isAll = event === "*" || event === "message";
    return this.#listen(
      (feed) => feed.messages,
      (message) => {
        // The payload's type is the application's claim; nothing can check it here.
        if (isAll || message.eventClass === event) listener(message as InstantMessage<PayloadOf<Name, Data>>);
      },
      options,
    );
  }

  /** Calls `listener` when the channel's status changes. */
  onStatus(listener: (status: ChannelStatus) => void, options?: ListenOptions): () => void {
    return this.#listen((feed) => feed.statuses, listener, options);
  }

  /** Calls `listener` when messages were missed that the server no longer has: load the state again. */
  onLost(listener: (info: LostInfo) => void, options?: ListenOptions): () => void {
    return this.#listen((feed) => feed.losses, listener, options);
  }

  /** Removes the listeners of this handle; other handles of the channel go on. */
  leave(): void {
    for (const remove of [...this.#removers]) remove();
  }

  #listen<Value>(
    of: (feed: Feed) => Listeners<Value>,
    listener: (value: Value) => void,
    options: ListenOptions = {},
  ): () => void {
    if (options.signal?.aborted === true) return () => undefined;
    const feed = this.#feed();
    const remove = of(feed).add(listener, options, () => {
      this.#removers.delete(remove);
      feed.release();
    });
    this.#removers.add(remove);
    feed.hold();
    return remove;
  }
}
