import { Centrifuge } from "centrifuge";

import type { Config } from "./config.js";
import { CALLED, mayBeTemporary } from "./disconnect.js";
import { Django, isOffline } from "./django.js";
import { ConnectError, InstantError, SignedOutError, SupersededError, type RefusedError } from "./errors.js";
import type { Feed } from "./feed.js";
import { COLLECT, Grants, IdentityChanged, TOKEN_EXPIRED } from "./grants.js";
import { load } from "./load.js";
import { Listeners } from "./listeners.js";
import { endsUser, refusesUser } from "./signed-out.js";
import { StreamSlot } from "./stream-slot.js";
import { StateLoader } from "./state-loader.js";
import { Transports } from "./transports.js";
import type { InstantEventMap, Status } from "./types.js";
import { watchUser } from "./user-watch.js";

/** Milliseconds without a closed connection after which the next one is tried again at once. */
const CLOSURES_FORGOTTEN = 30_000;

/** The page's one connection to the message server, and the status of the page that follows from it. */
export class Connection {
  readonly config: Config;
  /** The random name of this page, by which it knows the messages that it caused. */
  readonly tab: string;
  readonly django: Django;
  readonly grants: Grants;
  /** Tells other tabs who the user is. */
  readonly userIs: (user: string) => void;
  readonly transports: Transports;
  readonly states: StateLoader;
  readonly feeds = new Map<string, Feed>();
  readonly listeners: { readonly [Name in keyof InstantEventMap]: Listeners<InstantEventMap[Name]> } = {
    status: new Listeners(),
    lost: new Listeners(),
    user: new Listeners(),
    error: new Listeners(),
  };
  /** Changed by `#set()` only. */
  status: Status = "idle";
  /** The SDK's client; created by the first attempt to connect. */
  client: Centrifuge | undefined;
  /** The ids that the message server has given to the page's connections. */
  readonly clients = new Set<string>();
  readonly #slot = new StreamSlot(() => {
    this.#reopen();
  });
  #starting: ReturnType<typeof setTimeout> | undefined;
  #lastError: InstantError | undefined;
  /** How often the server has closed the connection in a row, and when it did last. */
  #closures = 0;
  #closed = 0;
  #expired = 0;

  constructor(config: Config, tab: string) {
    this.config = config;
    this.tab = tab;
    this.django = new Django(config, tab);
    this.states = new StateLoader(this.django);
    this.transports = new Transports(config);
    const names = (): string[] => this.#held().flatMap((feed) => (feed.isTokenless ? [] : feed.name));
    const readCookie = (): string => this.django.readCookie();
    this.userIs = watchUser(`instant ${config.urls.get_token}`, readCookie, () => this.#checkUser());
    this.grants = new Grants(this.django, names, config.reconnectDelay[1], (user, before) => {
      this.userIs(user);
      if (user !== (before ?? user)) this.listeners.user.emit(user.replace(config.prefix, ""));
    });
  }

  get isConnected(): boolean {
    return this.status === "live" || this.status === "catching-up";
  }

  /** True while no attempt to connect is under way or will follow by itself. */
  get hasEnded(): boolean {
    return this.status === "signed-out" || this.status === "stopped";
  }

  /** Called when a feed gets its first listener. Connects the page after a moment, in which other feeds may open. */
  opened(feed: Feed): void {
    this.feeds.set(feed.name, feed);
    this.wake();
  }

  /** Connects the page after such a moment, unless it is connected or trying. */
  wake(): void {
    if (this.status !== "idle") return;
    this.#set("connecting");
    this.#starting = setTimeout(() => {
      this.start();
    }, COLLECT);
  }

  /** Called when a feed has had no listener for a while. */
  closed({ name }: Feed): void {
    this.feeds.delete(name);
    this.grants.drop(name);
  }

  /** Called when the status of a feed has changed. */
  changed(): void {
    // The SDK tells its subscriptions about a lost connection before it tells us.
    const state: string | undefined = this.client?.state;
    if (state === "connected") this.#connected();
  }

  start(): void {
    this.#lastError = undefined;
    this.#set("connecting");
    this.#open();
  }

  /** Starts to connect. Settles when this attempt has succeeded or failed. */
  attempt(): Promise<void> {
    return new Promise((resolve, reject) => {
      const remove = this.listeners.status.add((status) => {
        if (status === "connecting") return;
        remove();
        const cause = { cause: this.#lastError };
        if (this.isConnected) resolve();
        else if (status === "signed-out") reject(new SignedOutError("Signed out", cause));
        else reject(new ConnectError(status === "idle" ? "Disconnected" : "Not connected", cause));
      });
      this.start();
    });
  }

  stop(status: Status): void {
    clearTimeout(this.#starting);
    this.grants.expire();
    this.#set(status);
    this.client?.disconnect();
  }

  /** Closes the connection after a change of user, and opens a new one if anything needs it. */
  restart(): void {
    const isNeeded = this.#held().length > 0 || (this.client && this.status !== "idle");
    this.client?.disconnect();
    if (isNeeded) this.start();
    else this.#set("idle");
  }

  /** Runs a request for a token. Resolves with `""`, which the SDK takes for “unauthorized”, if Django refuses. */
  async guard(request: () => Promise<string>): Promise<string> {
    try {
      return await request();
    } catch (error) {
      if (this.signsOut(error)) return "";
      if (error instanceof IdentityChanged) {
        this.#reopen();
      } else if (error instanceof InstantError && !(error instanceof SupersededError)) {
        this.#lastError = error;
      }
      throw error;
    }
  }

  /** Signs the page out if `cause` says that nobody may connect from here; returns whether it does. */
  signsOut(cause: unknown): cause is SignedOutError | RefusedError {
    if (!refusesUser(cause)) return false;
    this.#lastError = cause;
    this.signOut();
    return true;
  }

  /** Closes the connection and forgets the user and all tokens. */
  signOut(): void {
    this.grants.forget();
    this.stop("signed-out");
  }

  /** Called when another user may be signed in now: connects as that user. A signed-out page does not become anonymous. */
  async #checkUser(): Promise<void> {
    if (this.isConnected) await this.guard(() => this.grants.refresh());
    else if (this.status === "signed-out" && (await this.grants.user()) && this.hasEnded) this.start();
  }

  /** Waits while the page is to be disconnected: in a program nothing else would end what is tried again. */
  async wanted(): Promise<void> {
    if (this.status !== "idle" || !this.client) return;
    let remove: (() => void) | undefined;
    await new Promise((resolve) => {
      remove = this.listeners.status.add(resolve);
    });
    remove?.();
  }

  #held(): Feed[] {
    return [...this.feeds.values()].filter((feed) => feed.isHeld);
  }

  /** Sets the status of a connected page, which depends on its channels. */
  #connected(): void {
    this.#set(this.#held().some((feed) => feed.isBehind) ? "catching-up" : "live");
  }

  #set(status: Status): void {
    if (status === this.status) return;
    this.status = status;
    this.listeners.status.emit(status);
  }

  /** Closes the connection and opens a new one, with new tokens. */
  #reopen(): void {
    this.grants.expire();
    this.client?.disconnect();
    this.start();
  }

  #open(): void {
    clearTimeout(this.#starting);
    this.client ??= this.#createClient();
    for (const feed of this.#held()) feed.open();
    this.client.connect();
  }

  /** Connects again after the server has closed the connection: at once, then with back-off. */
  #retry(code: number, reason: string): void {
    const [minimum, maximum] = this.config.reconnectDelay;
    const now = Date.now();
    if (now - this.#closed > CLOSURES_FORGOTTEN + maximum) this.#closures = 0;
    this.#closed = now;
    const delay = this.#closures && Math.random() * Math.min(maximum, minimum * 2 ** this.#closures);
    if (this.#closures++) {
      this.#fail(code, reason);
      this.#set("offline");
    }
    this.grants.expire();
    // In a task of its own also at once: the SDK is not done with the closed connection.
    this.#starting = setTimeout(() => {
      this.#open();
    }, delay);
  }

  #createClient(): Centrifuge {
    const { config, grants, transports } = this;
    const client: Centrifuge = new Centrifuge(transports.endpoints, {
      ...transports.options,
      timeout: config.timeout,
      minReconnectDelay: config.reconnectDelay[0],
      maxReconnectDelay: config.reconnectDelay[1],
      // Called if there is no token yet, if the server says that it has expired, or to refresh the connection.
      getToken: () =>
        this.isConnected
          ? this.guard(() => grants.refresh())
          : this.#grant(() => grants.connectionToken()),
      // Called before every attempt, after getToken: the place to replace a token that is too old, or that
      // belongs to a user who was signed in before.
      getData: async () => {
        if (config.shared) await load("shared", config).then(({ share }) => { share(this); }, () => undefined);
        // A page that has to wait for its turn tries a WebSocket from time to time.
        let turn: Promise<boolean> | undefined;
        while ((turn = this.#slot.take(transports.next(client), config.timeout)) && !(await turn)) transports.tryWebSocket(client);
        if (!grants.isFresh) client.setToken(await this.#grant(() => grants.connectionToken()));
        return null;
      },
    });
    client.on("connecting", ({ code }) => {
      this.#slot.release();
      // A connect() may follow login() or channels(), whose tokens are fresh.
      if (code !== CALLED) grants.expire();
      transports.restart(client);
      // Not every browser knows whether there is a network, and Node never does.
      if (isOffline()) this.#set("offline");
      else if (code !== CALLED) this.#set("connecting");
    });
    client.on("connected", (context) => {
      this.clients.add(context.client);
      this.#lastError = undefined;
      this.#expired = 0;
      transports.connected(client);
      if (transports.next(client).startsWith("ws")) this.#slot.release();
      this.#connected();
    });
    client.on("disconnected", ({ code, reason }) => {
      this.#slot.release();
      if (code === CALLED) return;
      if (endsUser(code)) {
        this.signOut();
      } else if (mayBeTemporary(code)) {
        this.#retry(code, reason);
      } else {
        this.#fail(code, reason);
        this.#set("stopped");
      }
    });
    client.on("error", ({ error: { code, message } }) => {
      if (this.isConnected) return;
      const isOver = transports.failed(client, code);
      // One expired token is replaced silently. Two in a row mean that every token arrives too late.
      if (code === TOKEN_EXPIRED && this.#expired++ === 0) return;
      this.#fail(code, message);
      if (isOver && this.status === "connecting") this.#set("offline");
    });
    return client;
  }

  /** Asks Django for tokens for all channels in use. Denies those it leaves out, retries those it grants again. */
  #grant(request: () => Promise<string>): Promise<string> {
    return this.guard(async () => {
      const token = await request();
      this.transports.setUrls(this.grants.urls);
      for (const feed of this.#held()) {
        if (this.grants.isDenied(feed.name)) feed.deny();
        else feed.retry();
      }
      return token;
    });
  }

  #fail(code: number, message: string): void {
    this.#lastError = new ConnectError(message, { code, cause: this.#lastError });
    this.listeners.error.emit(this.#lastError);
  }
}
