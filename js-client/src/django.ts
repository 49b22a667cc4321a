import type { HistoryOptions, HistoryResult } from "centrifuge";

import { isSameOrigin, type Config } from "./config.js";
import { RefusedError, ReplyError, RequestError } from "./errors.js";
import { TAB_HEADER } from "./tab.js";
import { isRecord, text } from "./json.js";
import type { PresenceAnswer } from "./presence.js";
import type { ChannelInfo, Right } from "./types.js";

/** A right to join one channel. */
export interface ChannelGrant extends ChannelInfo {
  /** None where the message server asks Django itself. */
  readonly token?: string;
  /** What else the user may do there. */
  readonly rights: readonly Right[];
  /** Local time in milliseconds until which the token is worth sending. */
  readonly until: number;
}

/** As Django writes it. */
interface Granted extends Omit<ChannelGrant, "rights" | "until"> {
  readonly rights?: readonly Right[];
  /** The server's time in seconds; none without a token. */
  readonly exp?: number;
}

/** Channels, by name; `next` continues where the server cut the list, `""` where it did not. */
export interface ChannelPage {
  readonly channels: readonly ChannelGrant[];
  readonly next: string;
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
function usableUntil(exp = 0, { sent, serverNow }: Reply): number {
  return sent + Math.max((exp * 1000 - serverNow) * 0.8, 5000);
}

function cookie(name: string): string {
  const jar = globalThis.document as Document | undefined;
  const found = jar?.cookie.split("; ").find((pair) => pair.startsWith(`${name}=`));
  return found ? decodeURIComponent(found.slice(name.length + 1)) : "";
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

  async presence(channel: string): Promise<PresenceAnswer> {
    return (await this.#post("presence", { channel })).body as unknown as PresenceAnswer;
  }

  /** What was published in a channel, asked and answered in the SDK's words. */
  async history(channel: string, options: HistoryOptions): Promise<HistoryResult> {
    return (await this.#post("history", { channel, ...options })).body as unknown as HistoryResult;
  }

  #connection(reply: Reply): ConnectionGrant {
    const { ws_token: token, url, exp } = reply.body as { ws_token?: string; url?: string | string[]; exp?: number };
    if (!token) throw new ReplyError("get_token: no token", { status: 200 });
    const urls = this.#config.websocketUrls ?? [url ?? []].flat();
    return { ...this.#page(reply), token, urls, until: usableUntil(exp, reply) };
  }

  #page(reply: Reply): ChannelPage {
    const { channels, next } = reply.body as { channels?: Granted[]; next?: string | null };
    if (!Array.isArray(channels)) throw new ReplyError("get_token: no channels", { status: 200 });
    return {
      channels: channels.map(({ exp, rights = [], ...granted }) => ({ ...granted, rights, until: usableUntil(exp, reply) })),
      next: next ?? "",
    };
  }

  async #post(name: keyof Config["urls"], body: object = {}, after?: string): Promise<Reply> {
    const { urls, csrf, fetch, timeout } = this.#config;
    // A page that is told of no such view has nothing to ask there.
    if (!urls[name]) throw new RefusedError(`No URL for ${name}`, { status: 403 });
    const url = urls[name] + (after ? `?after=${encodeURIComponent(after)}` : "");
    // Read for every request: Django changes it at login, in another tab too.
    const sameOrigin = isSameOrigin(url);
    const token = (sameOrigin && cookie(csrf.cookie)) || this.#csrfToken;
    const sent = Date.now();
    let response: Response;
    let content: unknown;
    try {
      response = await fetch(url, {
        method: "POST",
        headers: {
          "Content-Type": "application/json",
          ...(token && { [csrf.header]: token }),
          // Another site would have to allow the header first.
          ...(sameOrigin && { [TAB_HEADER]: this.#tab }),
        },
        body: JSON.stringify(body),
        credentials: "include",
        signal: AbortSignal.timeout(timeout),
      });
      content = await response.json().catch((): unknown => undefined);
    } catch (cause) {
      throw new RequestError(`${name}: no answer`, { cause });
    }
    const { status, headers } = response;
    if (!response.ok || !isRecord(content)) {
      const reason = (isRecord(content) && text(content["error"])) || `status ${String(status)} is no answer`;
      const retryAfter = Number(headers.get("Retry-After")) || undefined;
      throw new (status === 401 || status === 403 ? RefusedError : ReplyError)(`${name}: ${reason}`, { status, retryAfter });
    }
    this.#csrfToken = text(content["csrf_token"]) || this.#csrfToken;
    return { body: content, sent, serverNow: Date.parse(headers.get("Date") ?? "") || sent };
  }
}
