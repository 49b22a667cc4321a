import type { ChannelGrant, ChannelPage, ConnectionGrant, Django } from "./django.js";
import { ReplyError, SignedOutError, SupersededError } from "./errors.js";
import { refusesUser } from "./signed-out.js";
import type { ChannelInfo, Right } from "./types.js";

/** How many names a request to Django may contain. */
const NAMES_PER_REQUEST = 256;
/** Milliseconds for which channels are collected before one request asks for all of them. */
export const COLLECT = 20;
/** Milliseconds after which a user who was signed in and is refused is asked about once more. */
const SECOND_LOOK = 3000;
/** Milliseconds for which a refusal is not asked about again. */
const DENIED = 5000;

/** Centrifugo's error code for an expired token. */
export const TOKEN_EXPIRED = 109;

/** A token for the connection or for one channel. */
interface Known {
  /** `""` if it is denied. */
  readonly token: string;
  readonly until: number;
  /** True once the token was sent or the refusal was reported: then Django is asked again. */
  used?: boolean;
}

function isUsable(known: Known | undefined): known is Known {
  return known !== undefined && !known.used && Date.now() <= known.until;
}

/** Returns the user in a token, `""` for an anonymous one. Not verified: it only shows that the user changed. */
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
 * The tokens that Django granted this page.
 *
 * A token can be used for seconds (`exp`), but what it opened lives for an hour. So every connection
 * starts with one request that names all channels in use, and its answer has all tokens that are needed
 * in the next moments. The SDK keeps its tokens and would send them again after a reconnect; `isFresh`
 * and `#lateToken()` prevent that.
 */
export class Grants {
  /** The message server's addresses in Django's last answer. */
  urls: readonly string[] = [];
  readonly #django: Django;
  readonly #held: () => readonly string[];
  readonly #secondLook: number;
  /** Called with the user of each connection token, and the one before. */
  readonly #userIs: (user: string, before: string | undefined) => void;
  readonly #channels = new Map<string, Known>();
  /** The user's rights by channel, from the last answer. They stay while a new connection asks again. */
  readonly #rights = new Map<string, readonly Right[]>();
  #connection: Known | undefined;
  /** The user of the last connection token, `""` for an anonymous one; `undefined` before it. */
  subject: string | undefined;
  #generation = 0;
  /** The names that are being collected, and the request that will ask for them. */
  readonly #names = new Set<string>();
  #asked: Promise<void> | undefined;

  constructor(
    django: Django,
    held: () => readonly string[],
    maximumDelay: number,
    userIs: (user: string, before: string | undefined) => void,
  ) {
    this.#django = django;
    this.#held = held;
    this.#userIs = userIs;
    this.#secondLook = Math.min(SECOND_LOOK, maximumDelay);
  }

  /** True while the connection token that the SDK has is the newest one and can be used. */
  get isFresh(): boolean {
    const known = this.#connection;
    return known?.used === true && Date.now() <= known.until;
  }

  /** Forgets all tokens, because a new connection begins. The user stays known. */
  expire(): void {
    this.#generation += 1;
    this.#connection = undefined;
    this.#channels.clear();
  }

  /** Forgets tokens, rights and user, because of a login or logout. */
  forget(): void {
    this.expire();
    this.#rights.clear();
    this.subject = undefined;
  }

  /** Forgets a channel that is not used any more. */
  drop(name: string): void {
    this.#channels.delete(name);
    this.#rights.delete(name);
  }

  /** Stores Django's answer to a login. */
  accept(grant: ConnectionGrant): readonly ChannelInfo[] {
    this.forget();
    this.#takeConnection(grant);
    return this.#take(grant);
  }

  /** Returns a connection token that the SDK has not had. */
  async connectionToken(): Promise<string> {
    const known = this.#connection;
    if (!isUsable(known)) return this.renew();
    known.used = true;
    return known.token;
  }

  /** Asks for a new connection token and tokens for the named channels, by default all in use. */
  async renew(names = this.#held(), refresh = false): Promise<string> {
    const first = names.slice(0, NAMES_PER_REQUEST);
    const grant = await this.#askConnection(first, refresh);
    const known = this.#takeConnection(grant);
    this.#take(grant, first);
    await this.#fetch(names.slice(NAMES_PER_REQUEST));
    known.used = true;
    return grant.token;
  }

  /** Asks for a token to refresh the connection. Throws `IdentityChanged` if it is for another user. */
  async refresh(): Promise<string> {
    const before = this.subject;
    const token = await this.renew([], true);
    if (before !== (this.subject ?? before)) throw new IdentityChanged();
    return token;
  }

  /** Asks Django who is signed in, and changes nothing. */
  async user(): Promise<string | undefined> {
    return userOf((await this.#django.connection([])).token);
  }

  /** True if Django was asked for the channel and left it out. */
  isDenied(name: string): boolean {
    return this.#channels.get(name)?.token === "";
  }

  /** Returns what the user may do in a channel besides listening. */
  rightsOf(name: string): readonly Right[] {
    return this.#rights.get(name) ?? [];
  }

  /** Returns the token for a new subscription if there is one, else `""`. */
  readyToken(name: string): string {
    const known = this.#channels.get(name);
    return isUsable(known) ? this.#lateToken(name, known.token) : "";
  }

  /** Returns a token to subscribe with, `""` if Django grants none. */
  async channelToken(name: string): Promise<string> {
    if (!isUsable(this.#channels.get(name))) await this.#ask(name);
    const known = this.#channels.get(name);
    if (!known) throw new ReplyError(`${name}: Django could not decide now`, { status: 200 });
    // A refusal is returned once: the next call asks Django.
    known.used = known.token === "";
    return this.#lateToken(name, known.token);
  }

  /** Returns the channels that Django offers the user, and stores their tokens and that for the connection. */
  async list(): Promise<readonly ChannelInfo[]> {
    const generation = this.#generation;
    const found = new Map<string, ChannelGrant>();
    const grant = await this.#askConnection();
    this.#takeConnection(grant);
    for (let page: ChannelPage = grant; ; page = await this.#django.channels(undefined, page.next)) {
      const before = found.size;
      for (const channel of page.channels) found.set(channel.name, channel);
      // A page that adds nothing ends the loop too, whatever `next` says.
      if (!page.next || found.size === before) break;
    }
    this.#check(generation);
    return this.#take({ channels: [...found.values()], unknown: [] });
  }

  /**
   * Returns an object that becomes the newest token when a command is written.
   *
   * The SDK keeps a subscription's token and sends it again with every connection; it cannot be replaced.
   * The SDK puts it into the command unchanged, and `JSON.stringify` calls `toJSON`. If the SDK converted
   * it to text earlier, the server would answer 109 and the SDK would ask for a token: slower, not wrong.
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

  /** Collects names for a moment, then asks for all of them in one request. */
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
      const page = await this.#send(() => this.#django.channels(some));
      const user = userOf(page.channels[0]?.token);
      if (user !== undefined && user !== (this.subject ?? user)) throw new IdentityChanged();
      this.#take(page, some);
    }
  }

  /** Asks for a connection token. Throws `SignedOutError` if it is an anonymous one, and a user was signed in. */
  #askConnection(names?: readonly string[], refresh = false): Promise<ConnectionGrant> {
    return this.#send(async () => {
      const grant = await this.#django.connection(names, refresh);
      if (userOf(grant.token) === "" && this.subject) throw new SignedOutError("The session has ended");
      return grant;
    });
  }

  /**
   * Sends a request to Django. If Django refuses a user who was signed in, the request is sent once more
   * after a moment: another one, such as a change of the password, may be about to renew the session.
   */
  #send<Answer>(request: () => Promise<Answer>): Promise<Answer> {
    const generation = this.#generation;
    // A refusal, too, may be of who is not here any more.
    const ask = (): Promise<Answer> =>
      request().finally(() => {
        this.#check(generation);
      });
    return ask().catch(async (error: unknown) => {
      if (!this.subject || !refusesUser(error)) throw error;
      await new Promise((resolve) => setTimeout(resolve, this.#secondLook));
      this.#check(generation);
      return ask();
    });
  }

  /** Throws if a login, a logout, a new connection or its end came between a request and its answer. */
  #check(generation: number): void {
    if (generation !== this.#generation) throw new SupersededError("A login, logout or new connection came first");
  }

  #takeConnection({ token, urls, until }: ConnectionGrant): Known {
    const user = userOf(token);
    if (user !== undefined) {
      const before = this.subject;
      this.subject = user;
      this.#userIs(user, before);
    }
    this.urls = urls;
    return (this.#connection = { token, until });
  }

  /** Stores what Django granted. Of the names that were asked for, those that are missing in the answer are denied. */
  #take({ channels, unknown }: Omit<ChannelPage, "next">, asked: readonly string[] = []): readonly ChannelInfo[] {
    for (const name of asked) {
      // Without an entry Django is asked again, and the rights stay as they were.
      this.#channels.delete(name);
      if (unknown.includes(name)) continue;
      this.drop(name);
      this.#channels.set(name, { token: "", until: Date.now() + DENIED });
    }
    return channels.map(({ name, level, token, until, rights }) => {
      if (token) this.#channels.set(name, { token, until });
      this.#rights.set(name, rights);
      return { name, level };
    });
  }
}

/** The browser's session now belongs to another user than the connection, which has to start anew. */
export class IdentityChanged extends Error {}
