import { ConfigError } from "./errors.js";
import { isRecord } from "./json.js";
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
  /** Empty: Django says. */
  readonly websocketUrls: readonly string[];
  readonly transports: readonly Transport[];
  readonly timeout: number;
  readonly reconnectDelay: readonly [minimum: number, maximum: number];
  readonly fetch: typeof globalThis.fetch;
  readonly WebSocket: WebSocketConstructor;
  readonly EventSource: EventSourceConstructor | undefined;
}

const CSRF: Csrf = { cookie: "csrftoken", header: "X-CSRFToken" };
const NAMES = ["login", "get_token", "subscribe", "logout"] as const;

let page: PageConfig | undefined;

/** Remembers what the script tag said; `undefined` forgets it. */
export function setPageConfig(config: PageConfig | undefined): void {
  page = config;
}

/** Reads the value of a `data-instant` attribute. Throws `ConfigError` for what is no page's config. */
export function parsePageConfig(json: string): PageConfig {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (cause) {
    throw new ConfigError("data-instant is not JSON", { cause });
  }
  if (!isRecord(value) || !isRecord(value["urls"])) throw new ConfigError("data-instant has no urls");
  // Django writes it; which URLs are missing is asked where they are needed.
  return value as unknown as PageConfig;
}

/** True when `url` is of this page's origin, or there is no page. */
export function isSameOrigin(url: string): boolean {
  const here = globalThis.location as Location | undefined;
  return here === undefined || new URL(url, here.href).origin === here.origin;
}

function urlsOf({ backend, urls }: InstantOptions): Urls {
  // The page knows where this site mounts `instant.urls`; for another site only the usual place is known.
  const known = backend === undefined || isSameOrigin(backend) ? page?.urls : undefined;
  const base = known ?? (backend === undefined ? undefined : fromBackend(backend));
  const found = { ...base, ...urls };
  for (const name of NAMES) {
    if (found[name] === undefined) {
      throw new ConfigError(
        `No URL for ${name}: add {% instant_script %} to the page, or pass backend or urls`,
      );
    }
  }
  return found as Urls;
}

function fromBackend(backend: string): Urls {
  const root = backend.replace(/\/+$/, "");
  return Object.fromEntries(NAMES.map((name) => [name, `${root}/instant/${name}/`])) as unknown as Urls;
}

function socketUrl(url: string): string {
  return /\/connection\/[^/]+$/.test(url) ? url : `${url.replace(/\/+$/, "")}/connection/websocket`;
}

/** Merges into a new object; throws `ConfigError` where something is missing. */
export function resolveConfig(options: InstantOptions): Config {
  const here: Pick<InstantOptions, "WebSocket" | "EventSource"> = globalThis;
  const { WebSocket = here.WebSocket, EventSource = here.EventSource } = options;
  if (WebSocket === undefined) {
    throw new ConfigError("No WebSocket here: pass one as the option WebSocket");
  }
  return {
    urls: urlsOf(options),
    csrf: { ...CSRF, ...page?.csrf, ...options.csrf },
    websocketUrls: [options.websocketUrl ?? []].flat().map(socketUrl),
    transports: options.transports ?? ["websocket", "http_stream", "sse"],
    timeout: options.timeout ?? 5000,
    reconnectDelay: options.reconnectDelay ?? [500, 20_000],
    fetch: options.fetch ?? ((input, init) => globalThis.fetch(input, init)),
    WebSocket,
    EventSource,
  };
}
