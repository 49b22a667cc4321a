import { UnauthorizedError } from "centrifuge";

import type { ChannelGrant, ChannelPage, ConnectionGrant, Django } from "./django.js";
import { SignedOutError, SupersededError } from "./errors.js";
import { isRecord } from "./json.js";
import type { ChannelInfo } from "./types.js";

/** Names a request to Django may carry. */
const NAMES_PER_REQUEST = 256;
/** Milliseconds in which channels that are asked for meet in one request. */
export const COLLECT = 20;

/** Centrifugo's error for a token past its `exp`. */
export const TOKEN_EXPIRED = 109;

/** What is known about one channel; without a token it is denied. */
interface Known {
  readonly token: string | undefined;
  readonly until: number;
  /** Sent, or said to be denied: the next question goes to Django. */
  used: boolean;
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** The user in a token, `""` for an anonymous one. Unverified: it only tells that the user changed. */
function userOf(token: string): string | undefined {
  try {
    const payload = (token.split(".")[1] ?? "").replace(/-/g, "+").replace(/_/g, "/");
    const claims: unknown = JSON.parse(atob(payload));
    return isRecord(claims) && typeof claims["sub"] === "string" ? claims["sub"] : undefined;
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
 * again after a reconnect; see `connection()` and `channel()` for how it is kept from that.
 */
export class Grants {
  readonly #django: Django;
  readonly #held: () => readonly string[];
  readonly #channels = new Map<string, Known>();
  #connection: Known | undefined;
  #urls: readonly string[] = [];
  #user: string | undefined;
  #generation = 0;
  #batch: { readonly names: Set<string>; readonly done: Promise<void> } | undefined;

  constructor(django: Django, held: () => readonly string[]) {
    this.#django = django;
    this.#held = held;
  }

  /** The message server's addresses, as Django last said. */
  get urls(): readonly string[] {
    return this.#urls;
  }

  /** Makes everything stale, because a new connection begins; the user stays known. */
  expire(): void {
    this.#generation += 1;
    this.#connection = undefined;
    this.#channels.clear();
    this.#batch = undefined;
  }

  /** Forgets the user too, because a login or logout changes who it is. */
  forget(): void {
    this.expire();
    this.#user = undefined;
  }

  /** Takes over what `login` answered. */
  accept(grant: ConnectionGrant): void {
    this.#takeConnection(grant);
    this.#take(grant.channels);
  }

  /** A token for the SDK that it did not have before. */
  async connectionToken(): Promise<string> {
    const known = this.#connection;
    if (known?.token === undefined || known.used || Date.now() > known.until) return this.#renew(this.#held());
    known.used = true;
    return known.token;
  }

  /** A token to prolong the connection, without a word about channels. */
  async prolongingToken(): Promise<string> {
    return this.#renew([]);
  }

  /** A new token when the one that the SDK would send is too old; nothing when it is not. */
  async freshConnectionToken(): Promise<string | undefined> {
    const known = this.#connection;
    return known !== undefined && Date.now() <= known.until ? undefined : this.#renew(this.#held());
  }

  /** True when the current grant was asked for `name` and did not hold it. */
  isDenied(name: string): boolean {
    const known = this.#channels.get(name);
    return known !== undefined && known.token === undefined;
  }

  /** A token for a new subscription, when there is one at hand. */
  readyToken(name: string): string | undefined {
    const known = this.#channels.get(name);
    return this.#isUsable(known) && known.token !== undefined ? this.#living(name, known.token) : undefined;
  }

  /** A token to subscribe with. Throws the SDK's `UnauthorizedError` when Django grants none. */
  async channelToken(name: string): Promise<string> {
    let known = this.#channels.get(name);
    if (!this.#isUsable(known)) {
      await this.#ask(name);
      known = this.#channels.get(name);
    }
    if (known?.token === undefined) {
      if (known !== undefined) known.used = true;
      throw new UnauthorizedError(`Channel ${name} is not granted`);
    }
    return this.#living(name, known.token);
  }

  /** The channels that Django offers the user; also a first grant, unless connected already. */
  async list(connected: boolean): Promise<readonly ChannelInfo[]> {
    const generation = this.#generation;
    let page: ChannelPage;
    if (connected) {
      page = await this.#django.channels();
    } else {
      const grant = await this.#django.connection();
      this.#check(generation);
      this.#takeConnection(grant);
      page = grant;
    }
    const found = new Map<string, ChannelGrant>();
    for (;;) {
      const known = found.size;
      for (const channel of page.channels) found.set(channel.name, channel);
      // A page without news ends it too, whatever the server says.
      if (page.next === undefined || found.size === known) break;
      page = await this.#django.channels(undefined, page.next);
    }
    this.#check(generation);
    const channels = [...found.values()];
    this.#take(channels);
    return channels.map(({ name, level }) => ({ name, level }));
  }

  /** True when `page` was granted to somebody else than the one who is connected. */
  #isForeign({ channels }: ChannelPage): boolean {
    const token = channels[0]?.token;
    const user = token === undefined ? undefined : userOf(token);
    return user !== undefined && this.#user !== undefined && user !== this.#user;
  }

  #isUsable(known: Known | undefined): known is Known {
    return known !== undefined && !known.used && Date.now() <= known.until;
  }

  /**
   * A token that is looked up when the frame is written.
   *
   * The SDK keeps a subscription's token and sends it again with every connection; it has no way to
   * replace it. It puts the token into the command as it is, and `JSON.stringify` calls `toJSON`: so
   * what it keeps is this object, and what goes out is the newest token. Were the SDK ever to turn it
   * into text earlier, the old token would be answered with 109 and asked for again: slower, not wrong.
   */
  #living(name: string, token: string): string {
    let last = token;
    const living = {
      toJSON: (): string => {
        const known = this.#channels.get(name);
        if (known?.token !== undefined) {
          last = known.token;
          known.used = true;
        }
        return last;
      },
    };
    return living as unknown as string;
  }

  async #renew(names: readonly string[]): Promise<string> {
    const generation = this.#generation;
    const first = names.slice(0, NAMES_PER_REQUEST);
    const grant = await this.#django.connection(first);
    this.#check(generation);
    this.#takeConnection(grant);
    this.#take(grant.channels, first);
    await this.#fetch(names.slice(NAMES_PER_REQUEST));
    if (this.#connection !== undefined) this.#connection.used = true;
    return grant.token;
  }

  /** Collects names for a moment, then asks once. */
  #ask(name: string): Promise<void> {
    if (this.#batch === undefined) {
      const names = new Set<string>();
      const done = pause(COLLECT).then(() => {
        if (this.#batch?.names === names) this.#batch = undefined;
        return this.#fetch([...names]);
      });
      this.#batch = { names, done };
    }
    this.#batch.names.add(name);
    return this.#batch.done;
  }

  async #fetch(names: readonly string[]): Promise<void> {
    for (let start = 0; start < names.length; start += NAMES_PER_REQUEST) {
      const some = names.slice(start, start + NAMES_PER_REQUEST);
      const generation = this.#generation;
      const page = await this.#django.channels(some);
      this.#check(generation);
      if (this.#isForeign(page)) throw new IdentityChanged("Somebody else is signed in now");
      this.#take(page.channels, some);
    }
  }

  /** Refuses a reply that was overtaken by a login, a logout or a new connection. */
  #check(generation: number): void {
    if (generation !== this.#generation) throw new SupersededError("A newer request took over");
  }

  #takeConnection({ token, urls, until }: ConnectionGrant): void {
    const user = userOf(token);
    if (user === "" && this.#user) throw new SignedOutError("The session has ended");
    this.#user = user ?? this.#user;
    if (urls.length > 0) this.#urls = urls;
    this.#connection = { token, until, used: false };
  }

  #take(granted: readonly ChannelGrant[], asked: readonly string[] = []): void {
    const until = Date.now() + 5000;
    for (const name of asked) this.#channels.set(name, { token: undefined, until, used: false });
    for (const { name, token, until } of granted) this.#channels.set(name, { token, until, used: false });
  }
}

/** The browser's session belongs to another user than the connection: connect anew. */
export class IdentityChanged extends Error {
  override name = "IdentityChanged";
}
