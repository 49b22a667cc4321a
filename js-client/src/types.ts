import type { InstantError } from "./errors.js";

/**
 * The types of payloads by event class. Applications add theirs:
 *
 * ```ts
 * declare module "djangoinstant" {
 *   interface InstantEvents { shipped: { order: number } }
 * }
 * ```
 *
 * After that `channel.on("shipped", ({ data }) => data.order)` is typed.
 */
// eslint-disable-next-line @typescript-eslint/no-empty-object-type -- filled by module augmentation
export interface InstantEvents {}

/**
 * An event class, `""` for messages without one, or `"*"` or `"message"` for all messages. Once
 * `InstantEvents` has entries, no other event classes are allowed.
 */
// eslint-disable-next-line @typescript-eslint/no-redundant-type-constituents -- empty here, filled by the application
export type EventName = [keyof InstantEvents] extends [never] ? string : (keyof InstantEvents & string) | "*" | "message" | "";

/** The payload of an event: its declared type if it has one, else the type of the channel. */
export type PayloadOf<Name extends string, Fallback> = Name extends keyof InstantEvents
  ? InstantEvents[Name]
  : Fallback;

/** What a listener gets. */
export interface InstantMessage<Data = unknown> {
  /** The channel it arrived on; also for a broadcast to several channels. */
  readonly channel: string;
  /** The text given to `publish()`, or `""`. */
  readonly message: string;
  /** The payload given to `publish()`, or `undefined`. */
  readonly data: Data;
  /** The event class given to `publish()`, or `""`. */
  readonly eventClass: string;
  /** The bucket given to `publish()`, or `""`. */
  readonly bucket: string;
  /** The name of the site that published, or `""`. */
  readonly site: string;
  /** The id of the message, or `""`. A message whose id was delivered recently is not delivered again. */
  readonly id: string;
  /** The connection of the page that published it, as the message server names it; `""` if Django published it. */
  readonly client: string;
  /** True if a request of this page, or its `publish()`, caused the message. */
  readonly own: boolean;
  /** The position in the channel's history; missing if the channel has none. */
  readonly offset?: number;
  /** True if it was missed while the connection was down and delivered afterwards. */
  readonly recovered: boolean;
  /** When it arrived in this page. */
  readonly date: Date;
}

/**
 * - `idle`: nothing uses the connection, or `disconnect()` was called
 * - `connecting`: an attempt to connect is under way
 * - `live`: messages arrive
 * - `catching-up`: connected again, and missed messages are on their way
 * - `offline`: there is no network, or no attempt succeeded; further ones follow
 * - `stopped`: the server closed the connection for good; no attempts follow before `connect()` or `refresh()`
 * - `signed-out`: Django refuses to let this browser connect; no attempts follow
 */
export type Status = "idle" | "connecting" | "live" | "catching-up" | "offline" | "stopped" | "signed-out";

/**
 * - `idle`: it has no listener
 * - `subscribing`: waiting for the connection, the server or Django
 * - `live`: messages arrive
 * - `lost`: messages arrive, but some were lost and no `onLost` listener has loaded the state since
 * - `denied`: not allowed; tried again with the next connection, login or `refresh()`
 */
export type ChannelStatus = "idle" | "subscribing" | "live" | "lost" | "denied";

/** `revoked`: the page was subscribed before; `refused`: it never was. Django does not say why. */
export type Denial = "revoked" | "refused";

/** One user in a channel. */
export interface Person {
  /** The user's id as text; `""` for all who are not signed in. */
  readonly user: string;
  /** The number of their pages in the channel, on all devices. */
  readonly connections: number;
  /** What Django tells others about the user. */
  readonly info: unknown;
}

/** The people in a channel, and what changed since the last call of the listener. */
export interface Presence {
  readonly people: readonly Person[];
  /** People who were not there before. In the first call: everybody. */
  readonly joined: readonly Person[];
  /** People who are not there any more. */
  readonly left: readonly Person[];
}

/** A position in a channel's history. */
export interface Position {
  readonly offset: number;
  /** Identifies the history: a server that lost it starts another one. */
  readonly epoch: string;
}

/** The state of a channel: what its namespace's `snapshot()` returns, and the position up to which it has the messages. */
export interface Snapshot<State = unknown> extends Position {
  readonly data: State;
}

export interface HistoryOptions {
  /** The maximum number of messages. @default 100 */
  readonly limit?: number;
  /** Only messages after this position (with `newestFirst`: before it). */
  readonly since?: Position;
  /** @default false */
  readonly newestFirst?: boolean;
}

/** Past messages, and the newest position in the channel's history. */
export interface History<Data = unknown> extends Position {
  readonly messages: readonly InstantMessage<Data>[];
}

/** The message that `channel.publish()` sends, with the names of `InstantMessage`. */
export interface Outgoing<Name extends EventName, Data> {
  readonly data?: Data;
  readonly message?: string;
  readonly eventClass?: Name;
  readonly bucket?: string;
  /** The id by which to recognize the message when it arrives. @default a new one */
  readonly id?: string;
}

/** Options of `rpc()` and `ticket()`. */
export interface CallOptions {
  /** Rejects the call with the signal's reason. What Python is doing already goes on. */
  readonly signal?: AbortSignal;
  /** Milliseconds until the answer, the waiting for a connection included. The result of a queued call takes longer. @default 10000 */
  readonly timeout?: number;
  /** Names the call, so that a handler with `once=True` answers it once: 1 to 64 letters, digits, `-` and `_`. */
  readonly id?: string;
  /** Sends the call again, with the same `id`, if the connection broke before the answer. @default false */
  readonly once?: boolean;
}

/** Options of `request()`. */
export interface RequestOptions extends CallOptions {
  /** Seconds after which nobody answers the request any more: it has failed with the code 504. */
  readonly within?: number;
}

/** What a queued call is doing. */
export interface TicketState<Result = unknown> {
  /** The id of the ticket. */
  readonly id: string;
  readonly state: "queued" | "running" | "done" | "failed" | "cancelled";
  /** What the handler gave to `call.progress()` last: a number or any other JSON. */
  readonly progress?: unknown;
  /** The text that it gave there. */
  readonly message?: string;
  /** What the handler has returned, once the state is `done`. */
  readonly result?: Result;
  /** Why it failed. */
  readonly error?: { readonly code: number; readonly message: string } | null;
}

/** A call of a method: the promise of its result, also if Python has put it into a queue. */
export interface Call<Result = unknown> extends Promise<Result> {
  /** Calls `listener` with each state of a queued call: in order, the last one too. Returns this call. */
  onProgress(listener: (state: TicketState<Result>) => void): Call<Result>;
  /** Cancels a queued call, whose promise rejects with the code 499. Another call goes on. */
  cancel(): Promise<void>;
  /** The id by which `instant.ticket()` takes up a queued call; `undefined` if the call is not queued. */
  readonly ticket: Promise<string | undefined>;
}

/** What a user may do in a channel besides listening. */
export type Right = "publish" | "presence" | "history";

/** A channel that Django offers to the current user. */
export interface ChannelInfo {
  readonly name: string;
  /** `public`, `users`, `groups`, `staff`, `superuser`, or what a later server adds. */
  readonly level: string;
}

/** Names a channel that missed messages which the server no longer has: load the state again. */
export interface LostInfo {
  readonly channel: string;
}

/** The events of an `Instant`, and what their listeners get. */
export interface InstantEventMap {
  /** The status changed. */
  status: Status;
  /**
   * The user of the connection has changed, because of a login in another tab; the new user's id, `""` for
   * nobody. What the page shows was rendered for another user: most pages should reload.
   */
  user: string;
  /** A channel missed messages which the server no longer has. */
  lost: LostInfo;
  /** Something failed in the background; most things are retried. */
  error: InstantError;
}

/** Options of all functions that add a listener. */
export interface ListenOptions {
  /** Removes the listener when the signal aborts. */
  readonly signal?: AbortSignal;
  /**
   * Replaces the listener for the same event that has the same key, so that a script which runs again adds
   * no second one. On channels, a key belongs to the channel.
   */
  readonly key?: string;
  /**
   * The position in the channel's history up to which the page knows everything: what came after it is delivered
   * first, and if the server no longer has that, messages are lost (`onLost`). Counts for the channel's first listener.
   */
  readonly since?: Position;
}

/** Options of functions that add a listener for messages. */
export interface MessageOptions extends ListenOptions {
  /** False: without messages that this page caused (`InstantMessage.own`). @default true */
  readonly own?: boolean;
}

/** Options of `on()`. */
export interface AckOptions extends MessageOptions {
  /**
   * True: messages that were stored while the page was away are delivered first, and each message is acknowledged
   * as soon as the promise that the listener returns is fulfilled. If it is rejected, the message comes again
   * with the next subscription or reload. For stored channels. @default false
   */
  readonly ack?: boolean;
}

/** Options of `outstanding()`. */
export interface OutstandingOptions {
  /** How many messages at most, the oldest. @default 100 */
  readonly limit?: number;
}

/** Options of `state()`. */
export interface StateOptions<State, Data> extends ListenOptions {
  /**
   * Returns the state after a message: a new one, because other listeners may draw the one that it gets. The
   * state may have the message already, if that was published while Django read it.
   *
   * @default the message's `data` is the new state; without `data` nothing changes
   */
  readonly reduce?: (state: State, message: InstantMessage<Data>) => State;
}

/** Options of `once()`. */
export interface OnceOptions extends MessageOptions {
  /** Only the message with this id: `Publication.id` in Python, or the result of `publish()` here. */
  readonly id?: string;
}
