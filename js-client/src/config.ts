import { ConfigError } from "./errors.js";
import { isRecord } from "./json.js";
import type { Csrf, InstantOptions, PageConfig, Urls, WebSocketConstructor } from "./types.js";

/** Options and page settings, put together. */
export interface Config {
  readonly urls: Urls;
  readonly csrf: Csrf;
  readonly websocketUrl: string | undefined;
  readonly timeout: number;
  readonly reconnectDelay: readonly [minimum: number, maximum: number];
  readonly fetch: typeof globalThis.fetch;
  readonly WebSocket: WebSocketConstructor;
}

const CSRF: Csrf = { cookie: "csrftoken", header: "X-CSRFToken" };
const PATHS: Urls = {
  login: "/instant/login/",
  get_token: "/instant/get_token/",
  subscribe: "/instant/subscribe/",
  logout: "/instant/logout/",
};
const NAMES = Object.keys(PATHS) as (keyof Urls)[];

let page: PageConfig | undefined;

/** Remembers what the script tag said; `undefined` forgets it. */
export function setPageConfig(config: PageConfig | undefined): void {
  page = config;
}

/** Reads the value of a `data-instant` attribute. Throws `ConfigError` on anything else. */
export function parsePageConfig(json: string): PageConfig {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (cause) {
    throw new ConfigError("data-instant is not JSON", { cause });
  }
  const urls = isRecord(value) ? value["urls"] : undefined;
  const csrf = isRecord(value) && isRecord(value["csrf"]) ? value["csrf"] : {};
  if (!isRecord(urls)) throw new ConfigError("data-instant has no urls");
  const url = (name: keyof Urls): string => {
    const text = urls[name];
    if (typeof text !== "string") throw new ConfigError(`data-instant has no URL for ${name}`);
    return text;
  };
  const { cookie, header } = csrf;
  return {
    urls: {
      login: url("login"),
      get_token: url("get_token"),
      subscribe: url("subscribe"),
      logout: url("logout"),
    },
    csrf: {
      cookie: typeof cookie === "string" ? cookie : CSRF.cookie,
      header: typeof header === "string" ? header : CSRF.header,
    },
  };
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
  return Object.fromEntries(NAMES.map((name) => [name, root + PATHS[name]])) as unknown as Urls;
}

function socketUrl(url: string): string {
  return /\/connection\/[^/]+$/.test(url) ? url : `${url.replace(/\/+$/, "")}/connection/websocket`;
}

/** Merges into a new object; throws `ConfigError` where something is missing. */
export function resolveConfig(options: InstantOptions): Config {
  const WebSocket = options.WebSocket ?? ("WebSocket" in globalThis ? globalThis.WebSocket : undefined);
  if (WebSocket === undefined) {
    throw new ConfigError("No WebSocket here: pass one as the option WebSocket");
  }
  return {
    urls: urlsOf(options),
    csrf: { ...(page?.csrf ?? CSRF), ...options.csrf },
    websocketUrl: options.websocketUrl === undefined ? undefined : socketUrl(options.websocketUrl),
    timeout: options.timeout ?? 5000,
    reconnectDelay: options.reconnectDelay ?? [500, 20_000],
    fetch: options.fetch ?? ((input, init) => globalThis.fetch(input, init)),
    WebSocket,
  };
}
