import type { InstantError } from "./errors.js";

/**
 * Payload types by event class, filled by the application:
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
 * An event class (`""`: messages without one), or `"*"` or `"message"` for every message. Once `InstantEvents` has entries, only
 * those are event classes.
 */
// eslint-disable-next-line @typescript-eslint/no-redundant-type-constituents -- empty here, filled by the application
export type EventName = [keyof InstantEvents] extends [never] ? string : (keyof InstantEvents & string) | "*" | "message" | "";

/** The payload of an event: the declared type where there is one, else the channel's. */
export type PayloadOf<Name extends string, Fallback> = Name extends keyof InstantEvents
  ? InstantEvents[Name]
  : Fallback;

/** One publication, as a listener sees it. */
export interface InstantMessage<Data = unknown> {
  /** The channel it arrived on, also when it was broadcast to several. */
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
  /** The message's own id, or `""`. A message whose id was seen lately is not delivered again. */
  readonly id: string;
  /** True when a request of this page, or its `publish()`, caused it. */
  readonly own: boolean;
  /** The position in the channel's history; absent where the channel keeps none. */
  readonly offset?: number;
  /** True when it was missed while the connection was down and replayed afterwards. */
  readonly recovered: boolean;
  /** When it arrived here. */
  readonly date: Date;
}

/**
 * - `idle`: nothing uses the connection yet, or `disconnect()` was called
 * - `connecting`: on the way, first time or again
 * - `live`: messages arrive
 * - `catching-up`: connected again, and what was missed is on its way
 * - `offline`: there is no network, or no way to connect got through; it is retried, unless the server
 *   forbade it
 * - `signed-out`: Django says that this browser may not connect; not retried
 */
export type Status = "idle" | "connecting" | "live" | "catching-up" | "offline" | "signed-out";

/**
 * - `idle`: no listener
 * - `subscribing`: asked for, or waiting for the connection
 * - `live`: messages arrive
 * - `lost`: messages arrive, but some were missed for good and no `onLost` has loaded the state since
 * - `denied`: not allowed; asked again with the next connection, login or `refresh()`
 */
export type ChannelStatus = "idle" | "subscribing" | "live" | "lost" | "denied";

/** `revoked`: the page had the channel; `refused`: it never did. Why, nobody tells. */
export type Denial = "revoked" | "refused";

/** The connections of one user to one channel. */
export interface Person {
  /** The user's id as text; `""` for everybody who is not signed in. */
  readonly user: string;
  /** How many pages they have here, counted over all their devices. */
  readonly connections: number;
  /** What the server says about the user beyond the id. */
  readonly info: unknown;
}

/** Who is in a channel, and what changed since the listener was last called. */
export interface Presence {
  readonly people: readonly Person[];
  /** Who had no connection before. At first: everybody. */
  readonly joined: readonly Person[];
  /** Who has none any more. */
  readonly left: readonly Person[];
}

/** A place in a channel's history. */
export interface Position {
  readonly offset: number;
  /** Which history it is: a server that lost it begins another. */
  readonly epoch: string;
}

export interface HistoryOptions {
  /** At most so many messages. @default 100 */
  readonly limit?: number;
  /** Only what came after it (or before it, with `newestFirst`). */
  readonly since?: Position;
  /** @default false */
  readonly newestFirst?: boolean;
}

/** Past messages, and where the channel's history stands. */
export interface History<Data = unknown> extends Position {
  readonly messages: readonly InstantMessage<Data>[];
}

/** What `channel.publish()` sends; its names are those of `InstantMessage`. */
export interface Outgoing<Name extends EventName, Data> {
  readonly data?: Data;
  readonly message?: string;
  readonly eventClass?: Name;
  readonly bucket?: string;
  /** To know the message again when it comes back. @default a new one */
  readonly id?: string;
}

/** What a user may do in a channel besides listening. */
export type Right = "publish" | "presence" | "history";

/** A channel that Django offers to the current user. */
export interface ChannelInfo {
  readonly name: string;
  /** `public`, `users`, `groups`, `staff`, `superuser`, or what a later server adds. */
  readonly level: string;
}

/** A gap that could not be filled: what was published meanwhile is lost, so load the state again. */
export interface LostInfo {
  readonly channel: string;
}

/** The events of an `Instant`, with what their listeners get. */
export interface InstantEventMap {
  /** The status changed. */
  status: Status;
  /** A channel missed messages that the server no longer has. */
  lost: LostInfo;
  /** Something failed, mostly in the background and retried. */
  error: InstantError;
}

/** For every `on`. */
export interface ListenOptions {
  /** Removes the listener when it aborts. */
  readonly signal?: AbortSignal;
}

/** For every `on` that hears messages. */
export interface MessageOptions extends ListenOptions {
  /** False: not what this page caused itself, see `InstantMessage.own`. @default true */
  readonly own?: boolean;
}

/** For `once`. */
export interface OnceOptions extends MessageOptions {
  /** The message with this id alone: `Publication.id` in Python, or what `publish()` here returned. */
  readonly id?: string;
}

/** Where Django's views are. */
export interface Urls {
  readonly login: string;
  readonly get_token: string;
  readonly subscribe: string;
  readonly logout: string;
  /** Who is in a channel; asked where the message server doesn't tell subscribers. */
  readonly presence?: string;
  /** What was published in a channel; asked likewise. */
  readonly history?: string;
}

/** How Django's CSRF protection is named. */
export interface Csrf {
  /** Name of the cookie, Django's `CSRF_COOKIE_NAME`. @default "csrftoken" */
  readonly cookie: string;
  /** Name of the header, from Django's `CSRF_HEADER_NAME`. @default "X-CSRFToken" */
  readonly header: string;
}

/** What `<instant-status>` says. An empty text says nothing. */
export type StatusTexts = Readonly<Partial<Record<Status, string>>>;

/** What the script tag's `data-instant` attribute holds. */
export interface PageConfig {
  readonly urls: Urls;
  readonly csrf?: Partial<Csrf>;
  readonly texts?: StatusTexts;
  readonly tokenless?: readonly string[];
}

/** The part of a WebSocket constructor that is used. */
export type WebSocketConstructor = new (url: string) => WebSocket;

/** The part of an EventSource constructor that is used. */
export type EventSourceConstructor = new (url: string) => EventSource;

/** How messages arrive: by WebSocket, by a response that never ends, or by server-sent events. */
export type Transport = "websocket" | "http_stream" | "sse";

/** Everything has a value already on a page that carries `{% instant_script %}`. */
export interface InstantOptions {
  /**
   * Address of a Django site that mounts `instant.urls` under `/instant/`, for pages without
   * `{% instant_script %}`.
   *
   * @example "https://example.com"
   */
  readonly backend?: string;
  /** Where Django's views are; each one given here wins over `backend` and over the page. */
  readonly urls?: Partial<Urls>;
  /** Names of the CSRF cookie and header; wins over the page. */
  readonly csrf?: Partial<Csrf>;
  /**
   * Namespaces (`order` of `order:42`) whose channels the message server opens without a token from
   * Django: it asks Django itself, or lets everybody in.
   *
   * @default what the page says
   */
  readonly tokenless?: readonly string[];
  /**
   * Address of the message server, with or without `/connection/websocket`; or several, tried in turn.
   *
   * @default what Django answers with each token
   */
  readonly websocketUrl?: string | readonly string[];
  /**
   * Ways to connect, in the order in which they are tried. Those after the WebSocket are used where its
   * address ends in `/websocket`, with `/http_stream` and `/sse` in its place and `/emulation` beside it.
   *
   * @default ["websocket", "http_stream", "sse"]
   */
  readonly transports?: readonly Transport[];
  /**
   * Milliseconds for a request to Django, and for each step with the message server.
   *
   * @default 5000
   */
  readonly timeout?: number;
  /** Milliseconds between attempts to connect: from, to. @default [500, 20000] */
  readonly reconnectDelay?: readonly [minimum: number, maximum: number];
  /** Another `fetch`, for tests or Node. @default globalThis.fetch */
  readonly fetch?: typeof globalThis.fetch;
  /** Another `WebSocket`, for tests or Node before 22. @default globalThis.WebSocket */
  readonly WebSocket?: WebSocketConstructor;
  /** Another `EventSource`, for tests or Node. @default globalThis.EventSource */
  readonly EventSource?: EventSourceConstructor;
}
