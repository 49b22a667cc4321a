import { isSameOrigin, type Config } from "./config.js";
import { RefusedError, ReplyError, RequestError } from "./errors.js";
import { TAB_HEADER } from "./identity.js";
import { isRecord, text } from "./json.js";
import type { ChannelInfo } from "./types.js";

/** A right to join one channel. */
export interface ChannelGrant extends ChannelInfo {
  readonly token: string;
  /** Local time in milliseconds until which the token is worth sending. */
  readonly until: number;
}

/** Channels, by name; `next` continues where the server cut the list. */
export interface ChannelPage {
  readonly channels: readonly ChannelGrant[];
  readonly next: string | undefined;
}

/** A right to connect, with rights to join channels. */
export interface ConnectionGrant extends ChannelPage {
  readonly token: string;
  /** Addresses of the message server. */
  readonly urls: readonly string[];
  readonly until: number;
}

/** The reply of one request, with what is needed to read its times. */
interface Reply {
  readonly body: Record<string, unknown>;
  readonly sent: number;
  readonly serverNow: number;
}

/**
 * How long a token is worth sending, in local time.
 *
 * `exp` is the server's clock and the browser's may be wrong by hours, so the reply's own `Date` is
 * subtracted. A fifth is left for the way. Never under 5 s: a token sent too late costs one error 109,
 * a token that is never good enough would cost a request each.
 */
function usableUntil(exp: unknown, { sent, serverNow }: Reply): number {
  const left = typeof exp === "number" ? exp * 1000 - serverNow : 0;
  return sent + Math.max(left * 0.8, 5000);
}

function cookie(name: string): string {
  const jar = globalThis.document as Document | undefined;
  const found = jar?.cookie.split("; ").find((pair) => pair.startsWith(`${name}=`));
  return found === undefined ? "" : decodeURIComponent(found.slice(name.length + 1));
}

/** Django's views. Every method is one request; nothing is retried here. */
export class Django {
  readonly #config: Config;
  readonly #tab: string;
  #csrfToken = "";

  constructor(config: Config, tab: string) {
    this.#config = config;
    this.#tab = tab;
  }

  /** A connection token; with the named channels, or with the user's own when none are given. */
  async connection(channels?: readonly string[]): Promise<ConnectionGrant> {
    return this.#connection(await this.#post("get_token", channels && { channels }));
  }

  /** Channel tokens; the named ones, or the user's own from `after` on. */
  async channels(channels?: readonly string[], after?: string): Promise<ChannelPage> {
    return this.#page(await this.#post("subscribe", channels && { channels }, after));
  }

  async login(username: string, password: string): Promise<ConnectionGrant> {
    return this.#connection(await this.#post("login", { username, password }));
  }

  async logout(): Promise<void> {
    await this.#post("logout");
  }

  #connection(reply: Reply): ConnectionGrant {
    const { ws_token: token, url, exp } = reply.body;
    if (typeof token !== "string" || token === "") {
      throw new ReplyError("Django's answer holds no connection token", 200);
    }
    return { ...this.#page(reply), token, urls: [url].flat().map(text).filter(Boolean), until: usableUntil(exp, reply) };
  }

  #page(reply: Reply): ChannelPage {
    const { channels, next } = reply.body;
    if (!Array.isArray(channels)) throw new ReplyError("Django's answer holds no channels", 200);
    const found: ChannelGrant[] = [];
    for (const item of channels as unknown[]) {
      if (!isRecord(item)) continue;
      const { name, level, token, exp } = item;
      if (typeof name !== "string" || typeof token !== "string" || token === "") continue;
      found.push({ name, level: text(level), token, until: usableUntil(exp, reply) });
    }
    return { channels: found, next: text(next) || undefined };
  }

  async #post(name: keyof Config["urls"], body: object = {}, after?: string): Promise<Reply> {
    const { urls, csrf, fetch, timeout } = this.#config;
    const url = after === undefined ? urls[name] : `${urls[name]}?after=${encodeURIComponent(after)}`;
    const headers: Record<string, string> = { "Content-Type": "application/json" };
    // Read for every request: Django changes it at login, in another tab too.
    const sameOrigin = isSameOrigin(url);
    const token = (sameOrigin && cookie(csrf.cookie)) || this.#csrfToken;
    if (token !== "") headers[csrf.header] = token;
    // Another site would have to allow the header first.
    if (sameOrigin) headers[TAB_HEADER] = this.#tab;
    const sent = Date.now();
    let response: Response;
    let content: unknown;
    try {
      response = await fetch(url, {
        method: "POST",
        headers,
        body: JSON.stringify(body),
        cache: "no-store",
        credentials: sameOrigin ? "same-origin" : "include",
        signal: AbortSignal.timeout(timeout),
      });
      content = await response.json().catch((): unknown => undefined);
    } catch (cause) {
      throw new RequestError(`Django could not be reached for ${name}`, { cause });
    }
    const { status } = response;
    const reason = (isRecord(content) && text(content["error"])) || `status ${String(status)}`;
    if (status === 401 || status === 403) throw new RefusedError(`Django refused ${name}: ${reason}`, status);
    if (!response.ok) throw new ReplyError(`Django could not answer ${name}: ${reason}`, status);
    if (!isRecord(content)) throw new ReplyError(`Django's answer to ${name} is not a JSON object`, status);
    this.#csrfToken = text(content["csrf_token"]) || this.#csrfToken;
    const date = Date.parse(response.headers.get("Date") ?? "");
    return { body: content, sent, serverNow: Number.isNaN(date) ? sent : date };
  }
}
