import { ConfigError } from "./errors.js";
import type {
  Csrf,
  EventSourceConstructor,
  InstantOptions,
  PageConfig,
  Transport,
  Urls,
  WebSocketConstructor,
} from "./options.js";

/** Options and page settings, merged. */
export interface Config {
  readonly urls: Urls;
  readonly csrf: Csrf;
  /** `undefined`: Django names them in its answers. */
  readonly websocketUrls: readonly string[] | undefined;
  readonly tokenless: readonly string[];
  /** What a tenant's names begin with on the message server, behind their namespace; `""` without tenants. */
  readonly prefix: string;
  readonly transports: readonly Transport[];
  readonly sizeLimit: number;
  readonly timeout: number;
  readonly reconnectDelay: readonly [minimum: number, maximum: number];
  readonly fetch: typeof globalThis.fetch;
  /** Replaced when the page begins to share its connection; then `shared` is false. */
  WebSocket: WebSocketConstructor;
  shared: unknown;
  readonly EventSource: EventSourceConstructor | undefined;
}

/** The names of Django's views; the first `NEEDED` must have a URL. */
const VIEWS = ["login", "get_token", "subscribe", "logout", "presence", "history", "snapshot", "messages", "rpc"] as const;
const NEEDED = 4;
/** So many of them exist wherever the others do. */
const ALWAYS = 8;

let page: PageConfig | undefined;

/** Stores the config of the page's script tag; `undefined` removes it. */
export function setPageConfig(config: PageConfig | undefined): void {
  page = config;
}

/** True if `url` has the origin of this page, or if there is no page (in Node). */
export function isSameOrigin(url: string): boolean {
  const here = globalThis.location as Location | undefined;
  return !here || new URL(url, here.href).origin === here.origin;
}

function urlsOf({ backend, urls }: InstantOptions): Urls {
  const root = backend?.replace(/\/*$/, "/instant/");
  // The page names the URLs of its own site. Another site is assumed to mount them under /instant/.
  const known = root === undefined || isSameOrigin(root) ? page?.urls : undefined;
  const found = VIEWS.map((name, index) => {
    const url = urls?.[name] ?? known?.[name] ?? (root && index < ALWAYS ? `${root}${name}/` : undefined);
    if (!url && index < NEEDED) throw new ConfigError(`No URL for ${name}. Put {% instant_script %} before this script, or set the option backend or urls.`);
    return [name, url];
  });
  return Object.fromEntries(found) as Urls;
}

function socketUrl(url: string): string {
  return /\/connection\/[^/]+$/.test(url) ? url : url.replace(/\/*$/, "/connection/websocket");
}

/** Merges options, page settings and defaults. Throws `ConfigError` if something is missing. */
export function resolveConfig(options: InstantOptions): Config {
  const here: Pick<InstantOptions, "WebSocket" | "EventSource"> = globalThis;
  const { WebSocket = here.WebSocket, EventSource = here.EventSource } = options;
  if (!WebSocket) throw new ConfigError("No WebSocket here. Set the option WebSocket.");
  return {
    urls: urlsOf(options),
    csrf: { cookie: "csrftoken", header: "X-CSRFToken", ...page?.csrf, ...options.csrf },
    websocketUrls: options.websocketUrl === undefined ? undefined : [options.websocketUrl].flat().map(socketUrl),
    tokenless: options.tokenless ?? page?.tokenless ?? [],
    prefix: options.prefix ?? page?.prefix ?? "",
    transports: options.transports ?? ["websocket", "http_stream", "sse"],
    sizeLimit: options.sizeLimit ?? page?.size_limit ?? 65_536,
    timeout: options.timeout ?? 5000,
    reconnectDelay: options.reconnectDelay ?? [500, 20_000],
    fetch: options.fetch ?? ((...request) => globalThis.fetch(...request)),
    WebSocket,
    shared: options.shared ?? page?.shared,
    EventSource,
  };
}
