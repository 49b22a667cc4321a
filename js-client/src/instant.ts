import { Centrifuge, State, UnauthorizedError } from "centrifuge";

import { Channel } from "./channel.js";
import { resolveConfig, type Config } from "./config.js";
import { Django } from "./django.js";
import { ConnectError, InstantError, RefusedError, SignedOutError, SupersededError } from "./errors.js";
import { Feed, type Host } from "./feed.js";
import { COLLECT, Grants, IdentityChanged, TOKEN_EXPIRED } from "./grants.js";
import { createId, TAB_HEADER } from "./identity.js";
import { Listeners } from "./listeners.js";
import { Route } from "./route.js";
import type { ChannelInfo, InstantEventMap, InstantOptions, ListenOptions, Status } from "./types.js";

/** Longest channel name that Centrifugo accepts. */
const NAME_LIMIT = 255;
/** Milliseconds within which a second refused token is no accident. */
const TOKEN_REFUSED_AGAIN = 30_000;

/** What Centrifugo says when it closes a connection for good, as far as a reason follows from it. */
const DISCONNECT = { called: 0, unauthorized: 1, invalidToken: 3500, forced: 3503, permission: 3507 } as const;

/** The page's connection to its messages: one socket, however many channels. */
export class Instant {
  /** Names this page to Django, so that it knows its own messages again; another one for each page load. */
  readonly tab = createId();
  readonly #config: Config;
  readonly #django: Django;
  readonly #grants: Grants;
  readonly #host: Host;
  readonly #feeds = new Map<string, Feed>();
  readonly #listeners: { readonly [Name in keyof InstantEventMap]: Listeners<InstantEventMap[Name]> } = {
    status: new Listeners(),
    lost: new Listeners(),
    error: new Listeners(),
  };
  #client: Centrifuge | undefined;
  #status: Status = "idle";
  #starting: ReturnType<typeof setTimeout> | undefined;
  #lastError: InstantError | undefined;
  #tokenRefused = 0;
  #expired = 0;

  /** @internal Use `createInstant()`. */
  constructor(options: InstantOptions) {
    this.#config = resolveConfig(options);
    this.#django = new Django(this.#config, this.tab);
    this.#grants = new Grants(this.#django, () => this.#held());
    const client = (): Centrifuge | undefined => this.#client;
    this.#host = {
      grants: this.#grants,
      tab: this.tab,
      timeout: this.#config.timeout,
      get client() {
        return client();
      },
      opened: (feed) => {
        this.#feeds.set(feed.name, feed);
        this.#opened();
      },
      closed: (feed) => this.#feeds.delete(feed.name),
      changed: () => {
        if (this.#client?.state === State.Connected) this.#connected();
      },
      lost: (info) => this.#listeners.lost.emit(info),
      failed: (error) => {
        // While the connection is down its own error says more.
        if (this.#isConnected()) this.#listeners.error.emit(error);
      },
      guard: (request) => this.#guard(request),
    };
  }

  /** Where the connection stands; see `Status`. */
  get status(): Status {
    return this.#status;
  }

  /**
   * Request headers by which the messages that a request causes are known as this page's own
   * (`message.own`): for `fetch`, htmx and other clients, on requests to this page's site.
   */
  headers(): Record<string, string> {
    return { [TAB_HEADER]: this.tab };
  }

  /** An id for a message, to know it again when it arrives. */
  createId(): string {
    return createId();
  }

  /** Calls `listener` for `"status"`, `"lost"` or `"error"`; returns what removes it. */
  on<Name extends keyof InstantEventMap>(
    event: Name,
    listener: (value: InstantEventMap[Name]) => unknown,
    options?: ListenOptions,
  ): () => void {
    return this.#listeners[event].add(listener, options);
  }

  /**
   * A handle of a channel. Nothing is sent before its first listener; then the page connects by itself.
   *
   * Throws `TypeError` for a name that no channel can have.
   */
  channel<Data = unknown>(name: string): Channel<Data> {
    if (name === "" || new TextEncoder().encode(name).length > NAME_LIMIT) {
      throw new TypeError("A channel name has 1 to 255 bytes");
    }
    return new Channel<Data>(name, () => this.#feeds.get(name) ?? new Feed(name, this.#host), this.tab);
  }

  /** The channels that Django offers the current user. Throws `SignedOutError` when nobody may ask. */
  async channels(): Promise<readonly ChannelInfo[]> {
    try {
      return await this.#grants.list(this.#isConnected());
    } catch (error) {
      throw this.#isSignedOut(error) ? this.#signOut(error) : error;
    }
  }

  /**
   * Connects. Not needed before `channel().on()`, which does it.
   *
   * Resolves when the connection is live. Rejects with `SignedOutError` when Django refuses, and with
   * `ConnectError` when this attempt fails; attempts go on then until `disconnect()`.
   */
  async connect(): Promise<void> {
    if (this.#isConnected()) return;
    // A retry may be seconds away; whoever calls wants to know now.
    if (this.#status === "offline") this.#client?.disconnect();
    const settled = this.#settled();
    this.#start();
    await settled;
  }

  /** Closes the connection until something asks for it again. Channels keep their listeners. */
  disconnect(): void {
    this.#stop("idle");
  }

  /**
   * Signs in with Django. Channels in use are asked for again, for the new user.
   *
   * Rejects with `RefusedError` for wrong credentials.
   */
  async login(username: string, password: string): Promise<readonly ChannelInfo[]> {
    const grant = await this.#django.login(username, password);
    this.#grants.forget();
    this.#grants.accept(grant);
    this.#restart();
    return grant.channels.map(({ name, level }) => ({ name, level }));
  }

  /** Signs out with Django, then closes this page's connection. */
  async logout(): Promise<void> {
    await this.#django.logout();
    this.#grants.forget();
    this.#stop("signed-out");
  }

  /**
   * Asks Django for everything again, for whoever is signed in now: after a login or logout of the
   * page's own. Settles as `connect()` does.
   */
  async refresh(): Promise<void> {
    this.#grants.forget();
    this.#client?.disconnect();
    const settled = this.#settled();
    this.#start();
    await settled;
  }

  /** The SDK's client, for what is not covered here; `undefined` before the first connection. */
  getClient(): Centrifuge | undefined {
    return this.#client;
  }

  #held(): string[] {
    return [...this.#feeds.values()].filter((feed) => feed.isHeld).map((feed) => feed.name);
  }

  /** The first listener of a channel connects the page; others of the same moment come along. */
  #opened(): void {
    if (this.#status !== "idle" || this.#starting !== undefined) return;
    this.#set("connecting");
    this.#starting = setTimeout(() => {
      this.#start();
    }, COLLECT);
  }

  #start(): void {
    clearTimeout(this.#starting);
    this.#starting = undefined;
    this.#lastError = undefined;
    this.#set("connecting");
    this.#client ??= this.#createClient();
    for (const feed of this.#feeds.values()) if (feed.isHeld) feed.open();
    this.#client.connect();
  }

  #stop(status: Status): void {
    clearTimeout(this.#starting);
    this.#starting = undefined;
    this.#set(status);
    this.#client?.disconnect();
  }

  /** After a change of user: the old connection ends; a new one begins if anything needs it. */
  #restart(): void {
    const isNeeded = this.#held().length > 0 || (this.#client !== undefined && this.#status !== "idle");
    this.#client?.disconnect();
    if (isNeeded) this.#start();
    else this.#set("idle");
  }

  #isConnected(): boolean {
    return this.#status === "live" || this.#status === "catching-up";
  }

  /** Connected; whether that is all, the channels know. */
  #connected(): void {
    const isBehind = [...this.#feeds.values()].some((feed) => feed.isBehind);
    this.#set(isBehind ? "catching-up" : "live");
  }

  #set(status: Status): void {
    if (status === this.#status) return;
    this.#status = status;
    this.#listeners.status.emit(status);
  }

  /** How the attempt that begins now ends. */
  #settled(): Promise<void> {
    return new Promise((resolve, reject) => {
      const remove = this.#listeners.status.add((status) => {
        if (status === "connecting") return;
        remove();
        const cause = this.#lastError && { cause: this.#lastError };
        if (this.#isConnected()) resolve();
        else if (status === "signed-out") reject(new SignedOutError("Django lets nobody connect from here", cause));
        else if (status === "idle") reject(new ConnectError("Disconnected before the connection was live"));
        else reject(new ConnectError("The message server could not be reached", undefined, cause));
      });
      this.#set("connecting");
    });
  }

  #createClient(): Centrifuge {
    const { timeout, reconnectDelay } = this.#config;
    const grants = this.#grants;
    const route = new Route(this.#config);
    const client: Centrifuge = new Centrifuge(route.endpoints, {
      ...route.options,
      timeout,
      minReconnectDelay: reconnectDelay[0],
      maxReconnectDelay: reconnectDelay[1],
      // Asked when there is no token yet, when the server found it expired, or to prolong a connection.
      getToken: () =>
        this.#guard(async () => {
          if (client.state === State.Connected) return grants.prolongingToken();
          const token = await grants.connectionToken();
          this.#granted(route);
          return token;
        }),
      // Asked before every attempt, after getToken: the moment to replace a token that is too old.
      getData: async () => {
        await this.#guard(async () => {
          const token = await grants.freshConnectionToken();
          if (token !== undefined) {
            client.setToken(token);
            this.#granted(route);
          }
          return "";
        });
        return null;
      },
    });
    client.on("connecting", ({ code }) => {
      // Not for connect(): what login or channels() just fetched is fresh.
      if (code !== DISCONNECT.called) grants.expire();
      route.begin(client);
      // Without a network nothing is on the way. Not every browser knows, and Node doesn't.
      const isOnline = (globalThis.navigator as Navigator | undefined)?.onLine !== false;
      this.#set(isOnline ? "connecting" : "offline");
    });
    client.on("connected", () => {
      this.#lastError = undefined;
      this.#expired = 0;
      route.keep(client);
      this.#connected();
    });
    client.on("disconnected", ({ code, reason }) => {
      this.#disconnected(code, reason);
    });
    client.on("error", ({ error }) => {
      if (client.state === State.Connected) return;
      const isOver = route.failed(client, error.code);
      // An expired token is replaced; two in a row mean that no token is ever young enough.
      if (error.code === TOKEN_EXPIRED && this.#expired++ === 0) return;
      this.#fail(new ConnectError(error.message, error.code, this.#lastError && { cause: this.#lastError }));
      if (isOver && client.state === State.Connecting) this.#set("offline");
    });
    return client;
  }

  /** A grant for all channels held arrived: what it lacks is denied, what it has again is asked for. */
  #granted(route: Route): void {
    route.lead(this.#grants.urls);
    for (const feed of this.#feeds.values()) {
      if (!feed.isHeld) continue;
      if (this.#grants.isDenied(feed.name)) feed.deny();
      else feed.retry();
    }
  }

  /** Runs a request for a token; a "no" of Django becomes the SDK's word for it. */
  async #guard(request: () => Promise<string>): Promise<string> {
    try {
      return await request();
    } catch (error) {
      if (error instanceof IdentityChanged) {
        this.#grants.expire();
        this.#client?.disconnect();
        this.#start();
      } else if (this.#isSignedOut(error)) {
        this.#signOut(error);
        throw new UnauthorizedError("signed out");
      } else if (error instanceof InstantError && !(error instanceof SupersededError)) {
        this.#lastError = error;
      }
      throw error;
    }
  }

  #isSignedOut(error: unknown): boolean {
    return error instanceof RefusedError || error instanceof SignedOutError;
  }

  #signOut(cause: unknown): SignedOutError {
    const error =
      cause instanceof SignedOutError ? cause : new SignedOutError("Django lets nobody connect from here", { cause });
    this.#lastError = error;
    this.#grants.forget();
    this.#stop("signed-out");
    return error;
  }

  #disconnected(code: number, reason: string): void {
    if (code === DISCONNECT.called) return;
    if (code === DISCONNECT.unauthorized || code === DISCONNECT.forced || code === DISCONNECT.permission) {
      this.#grants.forget();
      this.#set("signed-out");
      return;
    }
    const now = Date.now();
    if (code === DISCONNECT.invalidToken && now - this.#tokenRefused > TOKEN_REFUSED_AGAIN) {
      // Somebody signed in or out while the tokens were on their way: once more, with new ones.
      this.#tokenRefused = now;
      this.#grants.expire();
      this.#start();
      return;
    }
    this.#fail(new ConnectError(`The message server closed the connection: ${reason}`, code));
    this.#set("offline");
  }

  #fail(error: InstantError): void {
    this.#lastError = error;
    this.#listeners.error.emit(error);
  }
}

/** The page's connection, with the settings of `{% instant_script %}` and the options given here. */
export function createInstant(options: InstantOptions = {}): Instant {
  return new Instant(options);
}
