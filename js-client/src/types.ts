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

/** A known event class, `"*"` or `"message"` for every message, or any other event class. */
export type EventName = keyof InstantEvents | "*" | "message" | (string & {});

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
 * - `offline`: an attempt failed; it is retried, unless the server forbade it
 * - `signed-out`: Django says that this browser may not connect; not retried
 */
export type Status = "idle" | "connecting" | "live" | "offline" | "signed-out";

/**
 * - `idle`: no listener
 * - `subscribing`: asked for, or waiting for the connection
 * - `live`: messages arrive
 * - `denied`: not allowed; asked again with the next connection, login or `refresh()`
 */
export type ChannelStatus = "idle" | "subscribing" | "live" | "denied";

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

/** Where Django's views are. */
export interface Urls {
  readonly login: string;
  readonly get_token: string;
  readonly subscribe: string;
  readonly logout: string;
}

/** How Django's CSRF protection is named. */
export interface Csrf {
  /** Name of the cookie, Django's `CSRF_COOKIE_NAME`. @default "csrftoken" */
  readonly cookie: string;
  /** Name of the header, from Django's `CSRF_HEADER_NAME`. @default "X-CSRFToken" */
  readonly header: string;
}

/** What the script tag's `data-instant` attribute holds. */
export interface PageConfig {
  readonly urls: Urls;
  readonly csrf: Csrf;
}

/** The part of a WebSocket constructor that is used. */
export type WebSocketConstructor = new (url: string) => WebSocket;

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
   * Address of the message server, with or without `/connection/websocket`.
   *
   * @default what Django answers with each token
   */
  readonly websocketUrl?: string;
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
}
