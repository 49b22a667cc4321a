import type { ClientInfo, PublicationContext, SubscribedContext, Subscription } from "centrifuge";

import type { Connection } from "./connection.js";
import { ChannelError, InstantError } from "./errors.js";
import { TOKEN_EXPIRED } from "./grants.js";
import { Listeners } from "./listeners.js";
import { toMessage } from "./message.js";
import { onServer } from "./names.js";
import { takePageState } from "./page-state.js";
import { Sequence } from "./sequence.js";
import type { ChannelStatus, Denial, InstantMessage, LostInfo, Position, Presence, Right, Snapshot } from "./types.js";

/** Milliseconds to stay subscribed without a listener: a replaced page fragment adds its listener again. */
const GRACE = 300;
/** Milliseconds between attempts to subscribe. The first is short, so that nobody notices an expired token. */
const RESUBSCRIBE_FROM = 20;
const RESUBSCRIBE_TO = 20_000;
/**
 * The event class by which Django tells that it lost messages: the server was away after a commit. What a page
 * publishes has the page in its `info`, and tells nobody that.
 */
const LOST = "instant:lost";
/** Centrifugo's error code for “permission denied”. */
const PERMISSION_DENIED = 103;
/** The SDK's error code for a timeout. */
const TIMEOUT = 1;

/** Somebody's join or leave. */
export interface Move {
  readonly info: ClientInfo;
  readonly isHere: boolean;
}

/** The page's one subscription to a channel, shared by all `Channel` handles of that name. */
export class Feed {
  readonly name: string;
  readonly messages = new Listeners<InstantMessage>();
  readonly statuses = new Listeners<ChannelStatus>();
  readonly gaps = new Listeners<LostInfo>();
  readonly presences = new Listeners<Presence>();
  /** Joins and leaves, which come while `hearsJoins`. */
  readonly moves = new Listeners<Move>();
  hearsJoins = false;
  sequence = new Sequence();
  /** True if the channel needs no token: the message server asks Django itself, or lets everybody in. */
  readonly isTokenless: boolean;
  /** Changed by `#set()` only. */
  status: ChannelStatus = "idle";
  readonly #connection: Connection;
  #holders = 0;
  #subscription: Subscription | undefined;
  #grace: ReturnType<typeof setTimeout> | undefined;
  #isReplaying = false;
  #wasLive = false;
  #pageState: Snapshot | undefined;
  /** Stands for messages that were lost, until the state is loaded again; each gap is another object. */
  #gap: object | undefined;

  constructor(name: string, connection: Connection) {
    this.name = name;
    this.#connection = connection;
    this.isTokenless = connection.config.tokenless.some((namespace) => name.startsWith(`${namespace}:`));
  }

  /** Why the channel is denied; `undefined` while it is not. */
  get denial(): Denial | undefined {
    return this.status === "denied" ? (this.#wasLive ? "revoked" : "refused") : undefined;
  }

  get rights(): readonly Right[] {
    return this.status === "denied" ? [] : this.#connection.grants.rightsOf(this.name);
  }

  /** True while it has listeners, and for a moment after the last one is removed. */
  get isHeld(): boolean {
    return this.status !== "idle";
  }

  get isJoined(): boolean {
    return this.status === "live" || this.status === "lost";
  }

  /** True while it is subscribing again, so that missed messages may be on their way. */
  get isBehind(): boolean {
    return this.#wasLive && this.status === "subscribing";
  }

  /**
   * The state in the page's HTML, if the messages after it are still to come. What came after it is then
   * recovered, unless the channel is being subscribed to already.
   */
  get pageState(): Snapshot | undefined {
    const state = (this.#pageState = takePageState(this.name) ?? this.#pageState);
    const { position } = this.sequence;
    if (!state || (position && (position.epoch !== state.epoch || position.offset > state.offset))) return undefined;
    if (state.epoch && !this.#subscription) this.sequence.startAt(state);
    return state;
  }

  /** Counts one more listener. The first one may say from which position on it hears the channel. */
  hold(since?: Position): void {
    this.#holders += 1;
    clearTimeout(this.#grace);
    if (this.isHeld) return;
    if (since?.epoch) this.sequence.startAt(since);
    this.#set("subscribing");
    // Listeners that are added in the same task decide how to subscribe.
    queueMicrotask(() => {
      this.open();
    });
    this.#connection.opened(this);
  }

  /** Counts one listener less. */
  release(): void {
    this.#holders -= 1;
    if (this.#holders) return;
    this.#grace = setTimeout(() => {
      this.#close();
    }, GRACE);
  }

  /** Subscribes, if the SDK's client exists. */
  open(): void {
    const { client, grants, config } = this.#connection;
    if (!client || this.#subscription || !this.isHeld) return;
    const since = this.sequence.position;
    const subscription = (this.#subscription = client.newSubscription(onServer(this.name, config.prefix), {
      ...(since && { since }),
      ...(!this.isTokenless && {
        token: grants.readyToken(this.name),
        getToken: () => this.#connection.guard(() => grants.channelToken(this.name)),
      }),
      joinLeave: this.hearsJoins,
      minResubscribeDelay: RESUBSCRIBE_FROM,
      maxResubscribeDelay: RESUBSCRIBE_TO,
    }));
    subscription.on("subscribing", () => {
      this.#set("subscribing");
    });
    subscription.on("subscribed", (context) => {
      this.#subscribed(subscription, context);
    });
    subscription.on("unsubscribed", ({ code, reason }) => {
      // 0 is our own unsubscribe(); with any other code the server ended the subscription.
      if (code !== 0) this.#set("denied");
      // These codes report a mistake, such as an unknown namespace or too many channels.
      if (code > 100 && code < 200 && code !== PERMISSION_DENIED) this.failed({ code, message: reason });
    });
    subscription.on("error", ({ error }) => {
      // An expired token is replaced at once; nobody needs to know.
      if (error.code !== TOKEN_EXPIRED) this.failed(error);
    });
    subscription.on("publication", (publication) => {
      const message = this.message(publication, this.#isReplaying);
      if (!this.sequence.record(message)) return;
      if (message.eventClass === LOST && !publication.info) this.#lose();
      else this.messages.emit(message);
    });
    subscription.on("join", ({ info }) => {
      this.moves.emit({ info, isHere: true });
    });
    subscription.on("leave", ({ info }) => {
      this.moves.emit({ info, isHere: false });
    });
    subscription.subscribe();
  }

  /** Subscribes to joins and leaves, which the server sends only if the subscription asks for them. */
  hearJoins(): void {
    if (this.hearsJoins) return;
    this.hearsJoins = true;
    if (!this.#subscription) return;
    this.#drop();
    this.#set("subscribing");
    this.open();
  }

  /** Called when Django left the channel out of its answer. */
  deny(): void {
    this.#set("denied");
    this.#subscription?.unsubscribe();
  }

  /** Subscribes again, if the channel was denied. */
  retry(): void {
    if (this.status === "denied") this.#subscription?.subscribe();
  }

  /** Runs a call that needs a subscription, as soon as there is one. Rejects with `ChannelError`. */
  async call<Result>(run: (subscription: Subscription) => Promise<Result>, patience = this.#connection.config.timeout): Promise<Result> {
    this.hold();
    try {
      return await run(await this.#joined(patience));
    } catch (error) {
      throw this.#error(error);
    } finally {
      this.release();
    }
  }

  /** Asks Django for the channel's state. */
  loadState(): Promise<Snapshot> {
    return this.#connection.states.load(this.name);
  }

  /** Waits after so many failures, and while the page is disconnected. */
  async pause(failures: number): Promise<void> {
    const [minimum, maximum] = this.#connection.config.reconnectDelay;
    await new Promise((resolve) => setTimeout(resolve, Math.random() * Math.min(maximum, minimum * 2 ** failures)));
    await this.#connection.wanted();
  }

  message(publication: PublicationContext, recovered: boolean): InstantMessage {
    return toMessage(this.name, this.#connection, publication, recovered);
  }

  /** The error of a call for which there is no subscription: why there is none, else `reason` and `code`. */
  refusal(reason: string, code: number): ChannelError {
    const { status, hasEnded } = this.#connection;
    const isDenied = this.status === "denied";
    const why = isDenied ? "denied" : hasEnded ? status : reason;
    return new ChannelError(`${this.name}: ${why}`, { channel: this.name, code: why === reason ? code : PERMISSION_DENIED });
  }

  #joined(patience: number): Promise<Subscription> {
    return new Promise((resolve, reject) => {
      const check = (): void => {
        if (this.status === "subscribing" && !this.#connection.hasEnded) return;
        if (this.isJoined && this.#subscription) resolve(this.#subscription);
        remove();
      };
      const signal = patience ? AbortSignal.timeout(patience) : new AbortController().signal;
      const removeOther = this.#connection.listeners.status.add(check, { signal });
      // The callback runs however the waiting ends; rejecting does nothing if the promise is resolved.
      const remove = this.statuses.add(check, { signal }, () => {
        removeOther();
        reject(this.refusal("timeout", TIMEOUT));
      });
      check();
    });
  }

  #error(error: unknown): InstantError {
    if (error instanceof InstantError) return error;
    const { message, code } = error as { message: string; code: number };
    return new ChannelError(message, { channel: this.name, code, cause: error });
  }

  /** Reports what failed in the background. */
  failed(error: unknown): void {
    // While the connection is down, its own error says more.
    if (this.#connection.isConnected) this.#connection.listeners.error.emit(this.#error(error));
  }

  #drop(): void {
    this.#subscription?.removeAllListeners();
    this.#connection.client?.removeSubscription(this.#subscription ?? null);
    this.#subscription = undefined;
  }

  #close(): void {
    this.#set("idle");
    this.#drop();
    this.sequence = new Sequence();
    this.#wasLive = this.hearsJoins = false;
    this.#gap = undefined;
    this.#connection.closed(this);
  }

  #set(status: ChannelStatus): void {
    if (status === this.status) return;
    this.status = status;
    this.statuses.emit(status);
    this.#connection.changed();
  }

  #subscribed(subscription: Subscription, context: SubscribedContext): void {
    // The SDK delivers the missed messages in this task, before the microtask below.
    this.#isReplaying = this.sequence.begin(context);
    queueMicrotask(() => {
      this.#isReplaying = false;
      const state: string = subscription.state;
      if (this.#subscription !== subscription || state !== "subscribed") return;
      this.#wasLive = true;
      if (this.sequence.hasGap) this.#lose();
      else this.#set(this.#gap ? "lost" : "live");
    });
  }

  /** Sets `lost`, until every listener has loaded the state again. Without a listener it stays. */
  #lose(): void {
    const gap = (this.#gap = {});
    this.#set("lost");
    const info: LostInfo = { channel: this.name };
    const loading = [...this.gaps.emit(info), ...this.#connection.listeners.lost.emit(info)];
    if (loading.length === 0) return;
    Promise.all(loading).then(
      () => {
        if (gap !== this.#gap) return;
        this.#gap = undefined;
        if (this.status === "lost") this.#set("live");
      },
      (error: unknown) => {
        this.failed(error);
      },
    );
  }
}
