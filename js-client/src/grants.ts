import type { ChannelGrant, ChannelPage, ConnectionGrant, Django } from "./django.js";
import { SignedOutError, SupersededError } from "./errors.js";
import type { ChannelInfo, Right } from "./types.js";

/** Names a request to Django may carry. */
const NAMES_PER_REQUEST = 256;
/** Milliseconds in which channels that are asked for meet in one request. */
export const COLLECT = 20;
/** Milliseconds for which Django's "no" is not asked again. */
const DENIED = 5000;

/** Centrifugo's error for a token past its `exp`. */
export const TOKEN_EXPIRED = 109;

/** What is known about the connection, or one channel. */
interface Known {
  /** `""` where it is denied. */
  readonly token: string;
  readonly until: number;
  /** Sent, or said to be denied: the next question goes to Django. */
  used?: boolean;
}

function isUsable(known: Known | undefined): known is Known {
  return known !== undefined && !known.used && Date.now() <= known.until;
}

/** The user in a token, `""` for an anonymous one. Unverified: it only tells that the user changed. */
function userOf(token = ""): string | undefined {
  try {
    const payload = token.replace(/.*\.(.*)\..*/, "$1").replace(/-/g, "+").replace(/_/g, "/");
    const { sub } = JSON.parse(atob(payload)) as { sub?: string };
    return sub;
  } catch {
    return undefined;
  }
}

/**
 * What Django granted this page, and when to ask again.
 *
 * A token may be used for seconds (`exp`), what it opened lives for an hour. So every connection begins
 * with one request that carries the names of all channels held, and everything that needs a token in
 * the next moments is answered from its reply. The SDK keeps the tokens it got and would send them
 * again after a reconnect; see `isFresh` and `#lateToken()` for how it is kept from that.
 */
export class Grants {
  /** The message server's addresses, as Django last said. */
  urls: readonly string[] = [];
  readonly #django: Django;
  readonly #held: () => readonly string[];
  readonly #channels = new Map<string, Known>();
  /** What else the user may do, by channel; as last granted, also while a new connection asks again. */
  readonly #rights = new Map<string, readonly Right[]>();
  #connection: Known | undefined;
  #user: string | undefined;
  #generation = 0;
  /** Names that are collected, and the request for them. */
  readonly #names = new Set<string>();
  #asked: Promise<void> | undefined;

  constructor(django: Django, held: () => readonly string[]) {
    this.#django = django;
    this.#held = held;
  }

  /** True while the connection token that was given out is the newest, and worth sending. */
  get isFresh(): boolean {
    const known = this.#connection;
    return known?.used === true && Date.now() <= known.until;
  }

  /** Makes everything stale, because a new connection begins; the user stays known. */
  expire(): void {
    this.#generation += 1;
    this.#connection = undefined;
    this.#channels.clear();
  }

  /** Forgets the user too, because a login or logout changes who it is. */
  forget(): void {
    this.expire();
    this.#rights.clear();
    this.#user = undefined;
  }

  /** Forgets a channel that nobody uses any more. */
  drop(name: string): void {
    this.#channels.delete(name);
    this.#rights.delete(name);
  }

  /** Takes over what Django answered to `login`, for another user than before. */
  accept(grant: ConnectionGrant): readonly ChannelInfo[] {
    this.forget();
    this.#takeConnection(grant);
    return this.#take(grant.channels);
  }

  /** A connection token that was not given out before. */
  async connectionToken(): Promise<string> {
    const known = this.#connection;
    if (!isUsable(known)) return this.renew();
    known.used = true;
    return known.token;
  }

  /** A new connection token, and with it those of all channels held, or of none to prolong a connection. */
  async renew(names = this.#held()): Promise<string> {
    const generation = this.#generation;
    const first = names.slice(0, NAMES_PER_REQUEST);
    const grant = await this.#django.connection(first);
    this.#check(generation);
    const known = this.#takeConnection(grant);
    this.#take(grant.channels, first);
    await this.#fetch(names.slice(NAMES_PER_REQUEST));
    known.used = true;
    return grant.token;
  }

  /** True when the current grant was asked for `name` and did not hold it. */
  isDenied(name: string): boolean {
    return this.#channels.get(name)?.token === "";
  }

  /** What the user may do in a channel besides listening. */
  rightsOf(name: string): readonly Right[] {
    return this.#rights.get(name) ?? [];
  }

  /** A token for a new subscription, when there is one at hand, else `""`. */
  readyToken(name: string): string {
    const known = this.#channels.get(name);
    return isUsable(known) ? this.#lateToken(name, known.token) : "";
  }

  /** A token to subscribe with; `""` when Django grants none. */
  async channelToken(name: string): Promise<string> {
    if (!isUsable(this.#channels.get(name))) await this.#ask(name);
    const known = this.#channels.get(name);
    if (!known) return "";
    // A "no" is said once: the next question goes to Django.
    known.used = known.token === "";
    return this.#lateToken(name, known.token);
  }

  /** The channels that Django offers the user; also a grant to connect. */
  async list(): Promise<readonly ChannelInfo[]> {
    const generation = this.#generation;
    const found = new Map<string, ChannelGrant>();
    const grant = await this.#django.connection();
    this.#check(generation);
    this.#takeConnection(grant);
    for (let page: ChannelPage = grant; ; page = await this.#django.channels(undefined, page.next)) {
      const before = found.size;
      for (const channel of page.channels) found.set(channel.name, channel);
      // A page without news ends it too, whatever the server says.
      if (!page.next || found.size === before) break;
    }
    this.#check(generation);
    return this.#take([...found.values()]);
  }

  /**
   * A token that is looked up when the frame is written.
   *
   * The SDK keeps a subscription's token and sends it again with every connection; it has no way to
   * replace it. It puts the token into the command as it is, and `JSON.stringify` calls `toJSON`: so
   * what it keeps is this object, and what goes out is the newest token. Were the SDK ever to turn it
   * into text earlier, the old token would be answered with 109 and asked for again: slower, not wrong.
   */
  #lateToken(name: string, token: string): string {
    if (token === "") return token;
    let last = token;
    const late = {
      toJSON: (): string => {
        const known = this.#channels.get(name);
        if (known?.token) {
          last = known.token;
          known.used = true;
        }
        return last;
      },
    };
    return late as unknown as string;
  }

  /** Collects names for a moment, then asks once. */
  #ask(name: string): Promise<void> {
    this.#names.add(name);
    return (this.#asked ??= new Promise((resolve) => setTimeout(resolve, COLLECT)).then(() => {
      const names = [...this.#names];
      this.#names.clear();
      this.#asked = undefined;
      return this.#fetch(names);
    }));
  }

  async #fetch(names: readonly string[]): Promise<void> {
    for (let start = 0; start < names.length; start += NAMES_PER_REQUEST) {
      const some = names.slice(start, start + NAMES_PER_REQUEST);
      const generation = this.#generation;
      const { channels } = await this.#django.channels(some);
      this.#check(generation);
      const user = userOf(channels[0]?.token);
      if (user !== undefined && user !== (this.#user ?? user)) throw new IdentityChanged();
      this.#take(channels, some);
    }
  }

  /** Refuses a reply that was overtaken by a login, a logout or a new connection. */
  #check(generation: number): void {
    if (generation !== this.#generation) throw new SupersededError("Overtaken");
  }

  #takeConnection({ token, urls, until }: ConnectionGrant): Known {
    const user = userOf(token);
    if (user === "" && this.#user) throw new SignedOutError("The session has ended");
    this.#user = user ?? this.#user;
    this.urls = urls;
    return (this.#connection = { token, until });
  }

  #take(granted: readonly ChannelGrant[], asked: readonly string[] = []): readonly ChannelInfo[] {
    for (const name of asked) {
      this.drop(name);
      this.#channels.set(name, { token: "", until: Date.now() + DENIED });
    }
    return granted.map(({ name, level, token, until, rights }) => {
      if (token) this.#channels.set(name, { token, until });
      this.#rights.set(name, rights);
      return { name, level };
    });
  }
}

/** The browser's session belongs to another user than the connection: connect anew. */
export class IdentityChanged extends Error {}
