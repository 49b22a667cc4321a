import { isSameOrigin, type Config } from "./config.js";
import { RefusedError, ReplyError, RequestError } from "./errors.js";
import { TAB_HEADER } from "./tab.js";
import { isRecord, text } from "./json.js";
import type { ChannelInfo, Right, Snapshot } from "./types.js";

/** What Django grants for one channel. */
export interface ChannelGrant extends ChannelInfo {
  /** Missing if the message server asks Django itself. */
  readonly token?: string;
  /** What the user may do there besides listening. */
  readonly rights: readonly Right[];
  /** Local time in milliseconds until which the token can be used. */
  readonly until: number;
}

/** A channel in Django's answer. */
interface Granted extends Omit<ChannelGrant, "rights" | "until"> {
  readonly rights?: readonly Right[];
  /** Unix time by the server's clock; missing without a token. */
  readonly exp?: number;
}

/** A page of a list of channels. `next` is the name to continue after, `""` on the last page. */
export interface ChannelPage {
  readonly channels: readonly ChannelGrant[];
  readonly next: string;
  /** Names about which Django cannot decide now, for example because the database is down: neither granted nor denied. */
  readonly unknown: readonly string[];
}

/** What Django grants for a connection and its channels. */
export interface ConnectionGrant extends ChannelPage {
  readonly token: string;
  /** Addresses of the message server. */
  readonly urls: readonly string[];
  readonly until: number;
}

/** A response of Django, with the two times that are needed to interpret those in its body. */
interface Reply {
  readonly body: Record<string, unknown>;
  readonly sent: number;
  readonly serverNow: number;
}

/** Tells developers which channels Django left out, and why; it says so under DEBUG only. */
function tell({ refused }: { refused?: Record<string, string> }): void {
  // eslint-disable-next-line no-console
  if (refused) console.info(...Object.values(refused));
}

/**
 * Returns the local time in milliseconds until which a token can be used.
 *
 * `exp` is by the server's clock, and the browser's clock may be wrong by hours: the response's `Date`
 * header gives the difference. A fifth of the time is kept for the way to the message server. The result
 * is at least 5 s ahead: a token that arrives too late costs one error 109, but a token that is never
 * used would cost a request for each attempt.
 */
function usableUntil(exp = 0, { sent, serverNow }: Reply): number {
  return sent + Math.max((exp * 1000 - serverNow) * 0.8, 5000);
}

/** True where the browser knows that there is no network. A site on this machine may be there all the same. */
export function isOffline(): boolean {
  return (globalThis.navigator as Navigator | undefined)?.onLine === false;
}

function cookie(name: string): string {
  const jar = globalThis.document as Document | undefined;
  const found = jar?.cookie.split("; ").find((pair) => pair.startsWith(`${name}=`));
  return found ? decodeURIComponent(found.slice(name.length + 1)) : "";
}

/** Django's views. Each method sends one request and retries nothing. */
export class Django {
  readonly #config: Config;
  readonly #tab: string;
  /** Methods that the message server asks another group of processes for: `{"report.*": "heavy"}`. */
  pools: Readonly<Record<string, string>> = {};
  #csrfToken = "";
  /** How many requests were sent, and the number of the one that the token is from. */
  #sent = 0;
  #tokenOf = 0;
  /** True after a request that got no answer. */
  #isCut = false;

  constructor(config: Config, tab: string) {
    this.#config = config;
    this.#tab = tab;
  }

  /**
   * Returns a connection token, with tokens for the named channels or, without names, for the user's own.
   * With `refresh` it says that the token renews that of an open connection.
   */
  async connection(channels?: readonly string[], refresh = false): Promise<ConnectionGrant> {
    const body = channels && { channels, ...(refresh && { refresh }) };
    return this.#connection(await this.post("get_token", body));
  }

  /** Returns tokens for the named channels or, without names, for the user's own that come after `after`. */
  async channels(channels?: readonly string[], after?: string): Promise<ChannelPage> {
    return this.#page(await this.post("subscribe", channels && { channels }, after && `?after=${encodeURIComponent(after)}`));
  }

  async login(username: string, password: string): Promise<ConnectionGrant> {
    return this.#connection(await this.post("login", { username, password }));
  }

  /** Returns Django's CSRF cookie, `""` if pages can't read it. */
  readCookie(url = this.#config.urls.get_token): string {
    return isSameOrigin(url) ? cookie(this.#config.csrf.cookie) : "";
  }

  async logout(): Promise<void> {
    await this.post("logout");
  }

  /** Returns the states of channels, and names of which Django can't tell it now. */
  async states(channels: readonly string[]): Promise<{ states: Record<string, Snapshot>; unknown?: readonly string[] }> {
    const { body } = await this.post("snapshot", { channels });
    tell(body);
    return body as { states: Record<string, Snapshot> };
  }

  #connection(reply: Reply): ConnectionGrant {
    const { ws_token: token, url, exp, pools = {} } = reply.body as {
      ws_token?: string;
      url?: string | string[];
      exp?: number;
      pools?: Record<string, string>;
    };
    if (!token) throw new ReplyError("get_token: the answer has no token", { status: 200 });
    this.pools = pools;
    const urls = this.#config.websocketUrls ?? [url ?? []].flat();
    return { ...this.#page(reply), token, urls, until: usableUntil(exp, reply) };
  }

  #page(reply: Reply): ChannelPage {
    const { channels, next, unknown = [] } = reply.body as {
      channels?: Granted[];
      next?: string | null;
      unknown?: string[];
    };
    tell(reply.body);
    if (!Array.isArray(channels)) throw new ReplyError("The answer has no channels", { status: 200 });
    return {
      channels: channels.map(({ exp, rights = [], ...granted }) => ({ ...granted, rights, until: usableUntil(exp, reply) })),
      next: next ?? "",
      unknown,
    };
  }

  /** Sends a request to a view. `rest` is put behind its URL. */
  async post(name: keyof Config["urls"], body: unknown = {}, rest = "", timeout = this.#config.timeout): Promise<Reply> {
    const { urls, csrf, fetch } = this.#config;
    // The page's Django has no such view.
    if (!urls[name]) throw new RefusedError(`No URL for ${name}`, { status: 403 });
    const url = urls[name] + rest;
    // Read for every request: a login changes it, also in another tab.
    const sameOrigin = isSameOrigin(url);
    const token = this.readCookie(url) || this.#csrfToken;
    const sent = Date.now();
    let number = ++this.#sent;
    let response: Response;
    let content: unknown;
    try {
      // The next attempt is made when the network is back.
      if (this.#isCut && isOffline()) throw new TypeError();
      response = await fetch(url, {
        method: "POST",
        headers: {
          "Content-Type": "application/json",
          ...(token && { [csrf.header]: token }),
          // A cross-origin request with this header would need a permission from the other site.
          ...(sameOrigin && { [TAB_HEADER]: this.#tab }),
        },
        body: JSON.stringify(body),
        credentials: "include",
        signal: AbortSignal.timeout(timeout),
      });
      content = await response.json().catch((): unknown => undefined);
      this.#isCut = false;
    } catch (cause) {
      this.#isCut = true;
      throw new RequestError(`${name}: Django did not answer`, { cause });
    }
    const { status, headers } = response;
    if (!response.ok || !isRecord(content)) {
      const reason = (isRecord(content) && text(content["error"])) || `unexpected answer with status ${String(status)}`;
      const retryAfter = Number(headers.get("Retry-After")) || undefined;
      const details = { status, retryAfter, cause: content };
      throw new (status === 401 || status === 403 ? RefusedError : ReplyError)(`${name}: ${reason}`, details);
    }
    const fresh = text(content["csrf_token"]);
    // A login makes another token. What was asked before it is answered may have the one from before.
    if (name === "login") number = ++this.#sent;
    if (fresh && number > this.#tokenOf) {
      this.#csrfToken = fresh;
      this.#tokenOf = number;
    }
    return { body: content, sent, serverNow: Date.parse(headers.get("Date") ?? "") || sent };
  }
}
