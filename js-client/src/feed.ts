import {
  type Centrifuge,
  type PublicationContext,
  type SubscribedContext,
  type Subscription,
  SubscriptionState,
} from "centrifuge";

import { ChannelError } from "./errors.js";
import { type Grants, TOKEN_EXPIRED } from "./grants.js";
import { isRecord, text } from "./json.js";
import { Listeners } from "./listeners.js";
import { Crowd } from "./presence.js";
import type { ChannelStatus, Denial, InstantMessage, LostInfo, Presence } from "./types.js";

/** Milliseconds to stay subscribed without a listener: a page fragment that is replaced comes back. */
const GRACE = 300;
/** Milliseconds between attempts to subscribe: an expired token must cost no visible pause. */
const RESUBSCRIBE_FROM = 20;
const RESUBSCRIBE_TO = 20_000;
/** Ids of messages that are remembered to notice a second delivery. */
const IDS = 256;
/** Centrifugo's error for what is not allowed, and the SDK's for what took too long. */
const PERMISSION_DENIED = 103;
const TIMEOUT = 1;

/** What a feed needs from the connection that it belongs to. */
export interface Host {
  readonly grants: Grants;
  /** Marks what this page caused. */
  readonly tab: string;
  /** Milliseconds for a call. */
  readonly timeout: number;
  /** The SDK's client, where there is one already. */
  readonly client: Centrifuge | undefined;
  /** A feed has its first listener. */
  opened(feed: Feed): void;
  /** A feed lost its last listener a while ago. */
  closed(feed: Feed): void;
  /** A feed has another status. */
  changed(): void;
  /** What the page's listeners returned. */
  lost(info: LostInfo): unknown[];
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
  readonly presences = new Listeners<Presence>();
  readonly #host: Host;
  readonly #crowd: Crowd;
  readonly #ids = new Set<string>();
  #users = 0;
  #status: ChannelStatus = "idle";
  #subscription: Subscription | undefined;
  #hearsJoins = false;
  #grace: ReturnType<typeof setTimeout> | undefined;
  #position: { readonly epoch: string; offset: number } | undefined;
  #replaying = false;
  #wasLive = false;
  /** Counts the gaps; 0 when all that was missed is made good. */
  #gap = 0;

  constructor(name: string, host: Host) {
    this.name = name;
    this.#host = host;
    this.#crowd = new Crowd(this.presences, (error) => {
      host.failed(this.#error(error));
    });
  }

  get status(): ChannelStatus {
    return this.#status;
  }

  /** What kind of "no" it is; `undefined` while it is none. */
  get denial(): Denial | undefined {
    return this.#status === "denied" ? (this.#wasLive ? "revoked" : "refused") : undefined;
  }

  /** True while it has listeners, or had one a moment ago. */
  get isHeld(): boolean {
    return this.#status !== "idle";
  }

  /** True while messages that this page had a right to are on their way. */
  get isBehind(): boolean {
    return this.#wasLive && this.#status === "subscribing";
  }

  /** One more listener. */
  hold(): void {
    this.#users += 1;
    clearTimeout(this.#grace);
    if (this.presences.size > 0) this.#hearJoins();
    if (this.isHeld) return;
    this.#set("subscribing");
    // What else is asked for at the same moment decides how to subscribe.
    queueMicrotask(() => {
      this.open();
    });
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
    if (client === undefined || this.#subscription !== undefined || !this.isHeld) return;
    const token = grants.readyToken(this.name);
    const since = this.#position;
    const subscription = client.newSubscription(this.name, {
      ...(token !== undefined && { token }),
      ...(since !== undefined && { since }),
      joinLeave: this.#hearsJoins,
      getToken: () => this.#host.guard(() => grants.channelToken(this.name)),
      minResubscribeDelay: RESUBSCRIBE_FROM,
      maxResubscribeDelay: RESUBSCRIBE_TO,
    });
    this.#subscription = subscription;
    subscription.on("subscribing", () => {
      this.#set("subscribing");
    });
    subscription.on("subscribed", (context) => {
      this.#subscribed(subscription, context);
    });
    subscription.on("unsubscribed", ({ code }) => {
      // 0 is our own unsubscribe(); any other end is somebody else's decision.
      if (code !== 0) this.#set("denied");
    });
    subscription.on("error", ({ error }) => {
      // An expired token is replaced at once and nobody's concern.
      if (error.code !== TOKEN_EXPIRED) this.#host.failed(this.#error(error));
    });
    subscription.on("publication", (publication) => {
      this.#published(publication);
    });
    subscription.on("join", ({ info }) => {
      this.#crowd.change(info, true);
    });
    subscription.on("leave", ({ info }) => {
      this.#crowd.change(info, false);
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

  /** Runs a call that needs the subscription, when it is there. Rejects with `ChannelError`. */
  async call<Result>(run: (subscription: Subscription) => Promise<Result>): Promise<Result> {
    this.hold();
    try {
      return await run(await this.#joined());
    } catch (error) {
      throw this.#error(error);
    } finally {
      this.release();
    }
  }

  /** A publication as listeners see it. */
  message({ data: content, offset }: Pick<PublicationContext, "data" | "offset">, recovered: boolean): InstantMessage {
    // Somebody may publish past Django: then the whole content is the data.
    const body = isRecord(content) ? content : { data: content as unknown };
    return {
      // A broadcast names no channel: the one it came through is the one that counts.
      channel: this.name,
      message: text(body["message"]),
      data: body["data"],
      eventClass: text(body["event_class"]),
      bucket: text(body["bucket"]),
      site: text(body["site"]),
      id: text(body["id"]),
      own: body["tab"] === this.#host.tab,
      ...(offset !== undefined && { offset }),
      recovered,
      date: new Date(),
    };
  }

  #joined(): Promise<Subscription> {
    return new Promise((resolve, reject) => {
      const fail = (code: number, message: string): void => {
        reject(new ChannelError(message, this.name, code));
      };
      const look = (): void => {
        if (this.#status === "subscribing") return;
        clearTimeout(timer);
        remove();
        if (this.#status === "denied") fail(PERMISSION_DENIED, "denied");
        else if (this.#subscription !== undefined) resolve(this.#subscription);
      };
      const remove = this.statuses.add(look);
      const timer = setTimeout(() => {
        remove();
        fail(TIMEOUT, "timeout");
      }, this.#host.timeout);
      look();
    });
  }

  #error(error: unknown): ChannelError {
    if (error instanceof ChannelError) return error;
    const { message, code } = error as { message: string; code: number };
    return new ChannelError(message, this.name, code);
  }

  /** From now on the server tells who joins and leaves, which it does only where it was asked to. */
  #hearJoins(): void {
    if (this.#hearsJoins) {
      if (this.#subscription?.state === SubscriptionState.Subscribed) void this.#crowd.load(this.#subscription);
      return;
    }
    this.#hearsJoins = true;
    if (this.#subscription === undefined) return;
    this.#drop();
    this.#set("subscribing");
    this.open();
  }

  #drop(): void {
    const subscription = this.#subscription;
    this.#subscription = undefined;
    if (subscription === undefined) return;
    subscription.removeAllListeners();
    this.#host.client?.removeSubscription(subscription);
  }

  #close(): void {
    this.#set("idle");
    this.#drop();
    this.#position = undefined;
    this.#wasLive = this.#hearsJoins = false;
    this.#gap = 0;
    this.#host.closed(this);
  }

  #set(status: ChannelStatus): void {
    if (status === this.#status) return;
    this.#status = status;
    this.statuses.emit(status);
    this.#host.changed();
  }

  #subscribed(subscription: Subscription, context: SubscribedContext): void {
    const { wasRecovering, recovered, hasRecoveredPublications, streamPosition } = context;
    const isLost = wasRecovering && !recovered;
    const isReturn = this.#position !== undefined;
    // Only what was delivered counts: a channel that keeps its newest value sends it right after this.
    if (this.#position?.epoch !== streamPosition?.epoch) {
      this.#position = streamPosition && { epoch: streamPosition.epoch, offset: 0 };
    }
    if (this.#position && streamPosition && !hasRecoveredPublications) this.#position.offset = streamPosition.offset;
    // The SDK hands over what was missed before it returns to the event loop. What comes with the first
    // subscription is the newest value, which nobody missed.
    this.#replaying = isReturn && hasRecoveredPublications;
    queueMicrotask(() => {
      this.#replaying = false;
      if (this.#subscription !== subscription || subscription.state !== SubscriptionState.Subscribed) return;
      this.#wasLive = true;
      if (isLost) this.#lose();
      else this.#set(this.#gap > 0 ? "lost" : "live");
      if (this.#hearsJoins) void this.#crowd.load(subscription);
    });
  }

  /** Stays lost until every listener has loaded the state again; for ever where nobody listens. */
  #lose(): void {
    const gap = (this.#gap += 1);
    this.#set("lost");
    const info: LostInfo = { channel: this.name };
    const loading = [...this.losses.emit(info), ...this.#host.lost(info)];
    if (loading.length === 0) return;
    Promise.all(loading).then(
      () => {
        if (gap !== this.#gap) return;
        this.#gap = 0;
        if (this.#status === "lost") this.#set("live");
      },
      (error: unknown) => {
        this.#host.failed(this.#error(error));
      },
    );
  }

  #published(publication: PublicationContext): void {
    const { offset } = publication;
    if (offset !== undefined && this.#position !== undefined) {
      if (offset <= this.#position.offset) return;
      this.#position.offset = offset;
    }
    const message = this.message(publication, this.#replaying);
    const { id } = message;
    if (id !== "") {
      // At least once is what an outbox promises: the second time says nothing new.
      if (this.#ids.has(id)) return;
      this.#ids.add(id);
      for (const oldest of this.#ids) {
        if (this.#ids.size <= IDS) break;
        this.#ids.delete(oldest);
      }
    }
    this.messages.emit(message);
  }
}
