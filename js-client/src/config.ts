import { ConfigError } from "./errors.js";
import type {
  Csrf,
  EventSourceConstructor,
  InstantOptions,
  PageConfig,
  Transport,
  Urls,
  WebSocketConstructor,
} from "./types.js";

/** Options and page settings, put together. */
export interface Config {
  readonly urls: Urls;
  readonly csrf: Csrf;
  /** None: Django says. */
  readonly websocketUrls: readonly string[] | undefined;
  readonly tokenless: readonly string[];
  readonly transports: readonly Transport[];
  readonly timeout: number;
  readonly reconnectDelay: readonly [minimum: number, maximum: number];
  readonly fetch: typeof globalThis.fetch;
  readonly WebSocket: WebSocketConstructor;
  readonly EventSource: EventSourceConstructor | undefined;
}

/** Django's views, the needed ones first. */
const VIEWS = ["login", "get_token", "subscribe", "logout", "presence", "history"] as const;
const NEEDED = 4;

let page: PageConfig | undefined;

/** Remembers what the script tag said; `undefined` forgets it. */
export function setPageConfig(config: PageConfig | undefined): void {
  page = config;
}

/** True when `url` is of this page's origin, or there is no page. */
export function isSameOrigin(url: string): boolean {
  const here = globalThis.location as Location | undefined;
  return !here || new URL(url, here.href).origin === here.origin;
}

function urlsOf({ backend, urls }: InstantOptions): Urls {
  const root = backend?.replace(/\/*$/, "/instant/");
  // The page knows where this site mounts `instant.urls`; for another site only the usual place is known.
  const known = root === undefined || isSameOrigin(root) ? page?.urls : undefined;
  const found = VIEWS.map((name, index) => {
    const url = urls?.[name] ?? known?.[name] ?? (root && `${root}${name}/`);
    if (!url && index < NEEDED) throw new ConfigError(`No URL for ${name}: no {% instant_script %}, backend or urls`);
    return [name, url];
  });
  return Object.fromEntries(found) as Urls;
}

function socketUrl(url: string): string {
  return /\/connection\/[^/]+$/.test(url) ? url : url.replace(/\/*$/, "/connection/websocket");
}

/** Merges into a new object; throws `ConfigError` where something is missing. */
export function resolveConfig(options: InstantOptions): Config {
  const here: Pick<InstantOptions, "WebSocket" | "EventSource"> = globalThis;
  const { WebSocket = here.WebSocket, EventSource = here.EventSource } = options;
  if (!WebSocket) throw new ConfigError("No WebSocket here");
  return {
    urls: urlsOf(options),
    csrf: { cookie: "csrftoken", header: "X-CSRFToken", ...page?.csrf, ...options.csrf },
    websocketUrls: options.websocketUrl === undefined ? undefined : [options.websocketUrl].flat().map(socketUrl),
    tokenless: options.tokenless ?? page?.tokenless ?? [],
    transports: options.transports ?? ["websocket", "http_stream", "sse"],
    timeout: options.timeout ?? 5000,
    reconnectDelay: options.reconnectDelay ?? [500, 20_000],
    fetch: options.fetch ?? ((...request) => globalThis.fetch(...request)),
    WebSocket,
    EventSource,
  };
}
