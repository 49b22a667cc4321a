import type { Status } from "./types.js";

/** The addresses of Django's views. */
export interface Urls {
  readonly login: string;
  readonly get_token: string;
  readonly subscribe: string;
  readonly logout: string;
  /** Tells who is in a channel, if the message server does not allow subscribers to ask. */
  readonly presence?: string;
  /** Returns past messages of a channel, in the same case. */
  readonly history?: string;
  /** Returns the states of channels, for `channel.state()`. */
  readonly snapshot?: string;
  /** Stored messages: `outstanding/` and `acknowledge/` are put behind it. */
  readonly messages?: string;
  /** Answers calls over HTTP, where Django has a gateway; the method's name is put behind it. */
  readonly rpc?: string;
}

/** The names that Django's CSRF protection uses. */
export interface Csrf {
  /** Name of the cookie, Django's `CSRF_COOKIE_NAME`. @default "csrftoken" */
  readonly cookie: string;
  /** Name of the header, from Django's `CSRF_HEADER_NAME`. @default "X-CSRFToken" */
  readonly header: string;
}

/** The texts of `<instant-status>`. With an empty text it shows nothing. */
export type StatusTexts = Readonly<Partial<Record<Status, string>>>;

/** The value of the script tag's `data-instant` attribute. */
export interface PageConfig {
  readonly urls: Urls;
  readonly csrf?: Partial<Csrf>;
  readonly texts?: StatusTexts;
  readonly tokenless?: readonly string[];
  /** How many bytes the message server accepts from a page at once. */
  readonly size_limit?: number;
  /** What a tenant's names begin with on the message server, see `InstantOptions`. */
  readonly prefix?: string;
  /** The address of the script that is loaded with the first call. @default `instant.calls.min.js` beside the first */
  readonly calls?: string;
  /** The same for the script that is loaded when messages are acknowledged first. */
  readonly stored?: string;
  /** The same for the script by which tabs share one connection. With it they do. */
  readonly shared?: string;
}

/** A WebSocket constructor, as far as it is used. */
export type WebSocketConstructor = new (url: string) => WebSocket;

/** An EventSource constructor, as far as it is used. */
export type EventSourceConstructor = new (url: string) => EventSource;

/** How messages arrive: over a WebSocket, in an HTTP response that does not end, or as server-sent events. */
export type Transport = "websocket" | "http_stream" | "sse";

/** The options of `createInstant()`. On a page with `{% instant_script %}` none is needed. */
export interface InstantOptions {
  /**
   * The address of a Django site that mounts `instant.urls` under `/instant/`; for pages without
   * `{% instant_script %}`.
   *
   * @example "https://example.com"
   */
  readonly backend?: string;
  /** The addresses of Django's views; each of them wins over `backend` and over the page. */
  readonly urls?: Partial<Urls>;
  /** The names of the CSRF cookie and header; they win over the page. */
  readonly csrf?: Partial<Csrf>;
  /**
   * Namespaces (`order` for `order:42`) whose channels need no token from Django: the message server asks
   * Django itself, or lets everybody in.
   *
   * @default the page's
   */
  readonly tokenless?: readonly string[];
  /**
   * The tenant whose site this is, with a slash: `"acme/"`. On the message server its channels and users
   * have other names than here.
   *
   * @default the page's
   */
  readonly prefix?: string;
  /**
   * The address of the message server, with or without `/connection/websocket`; or several addresses,
   * which are tried in turn.
   *
   * @default the ones that Django sends with each token
   */
  readonly websocketUrl?: string | readonly string[];
  /**
   * The transports, in the order in which they are tried. The others need an address that ends in
   * `/websocket`: they use it with `/http_stream` or `/sse` in that place, and `/emulation` for commands.
   *
   * @default ["websocket", "http_stream", "sse"]
   */
  readonly transports?: readonly Transport[];
  /**
   * How many bytes the message server accepts from a page at once. A larger message is refused before it is
   * sent, because the server would close the connection.
   *
   * @default the page's, else 65536
   */
  readonly sizeLimit?: number;
  /**
   * Timeout in milliseconds for a request to Django, and for each step with the message server.
   *
   * @default 5000
   */
  readonly timeout?: number;
  /**
   * True: the tabs of a browser share one WebSocket, if the same user is signed in. One of them has it; when that tab
   * goes, the next one takes over, and nothing is missed.
   *
   * @default the page's, else false
   */
  readonly shared?: boolean;
  /** The shortest and the longest time between attempts to connect, in milliseconds. @default [500, 20000] */
  readonly reconnectDelay?: readonly [minimum: number, maximum: number];
  /** Another `fetch`, for tests or Node. @default globalThis.fetch */
  readonly fetch?: typeof globalThis.fetch;
  /** Another `WebSocket`, for tests or Node before 22. @default globalThis.WebSocket */
  readonly WebSocket?: WebSocketConstructor;
  /** Another `EventSource`, for tests or Node. @default globalThis.EventSource */
  readonly EventSource?: EventSourceConstructor;
}
