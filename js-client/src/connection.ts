import { Centrifuge } from "centrifuge";

import type { Config } from "./config.js";
import { Django } from "./django.js";
import { ConnectError, InstantError, SignedOutError, SupersededError, type RefusedError } from "./errors.js";
import type { Feed } from "./feed.js";
import { COLLECT, Grants, IdentityChanged, TOKEN_EXPIRED } from "./grants.js";
import { Listeners } from "./listeners.js";
import { endsUser, refusesUser } from "./signed-out.js";
import { Transports } from "./transports.js";
import type { InstantEventMap, Status } from "./types.js";

/** Milliseconds within which a second refused token is no accident. */
const TOKEN_REFUSED_AGAIN = 30_000;

/** The SDK's code for a connection that this page closed itself, or is opening because it was asked to. */
const CALLED = 0;
/** Centrifugo's code for a token that it does not accept. */
const INVALID_TOKEN = 3500;

/** The page's one socket: when it begins and ends, and what that means for its channels and for people. */
export class Connection {
  readonly config: Config;
  /** Marks what this page caused. */
  readonly tab: string;
  readonly django: Django;
  readonly grants: Grants;
  readonly feeds = new Map<string, Feed>();
  readonly listeners: { readonly [Name in keyof InstantEventMap]: Listeners<InstantEventMap[Name]> } = {
    status: new Listeners(),
    lost: new Listeners(),
    error: new Listeners(),
  };
  /** Only `#set()` changes it. */
  status: Status = "idle";
  /** The SDK's, once there was a first attempt. */
  client: Centrifuge | undefined;
  #starting: ReturnType<typeof setTimeout> | undefined;
  #lastError: InstantError | undefined;
  #tokenRefused = 0;
  #expired = 0;

  constructor(config: Config, tab: string) {
    this.config = config;
    this.tab = tab;
    this.django = new Django(config, tab);
    this.grants = new Grants(this.django, () => this.#held().flatMap((feed) => (feed.isTokenless ? [] : feed.name)));
  }

  get isConnected(): boolean {
    return this.status === "live" || this.status === "catching-up";
  }

  /** A feed has its first listener, which connects the page; others of the same moment come along. */
  opened(feed: Feed): void {
    this.feeds.set(feed.name, feed);
    if (this.status !== "idle") return;
    this.#set("connecting");
    this.#starting = setTimeout(() => {
      this.start();
    }, COLLECT);
  }

  /** A feed lost its last listener a while ago. */
  closed({ name }: Feed): void {
    this.feeds.delete(name);
    this.grants.drop(name);
  }

  /** A feed has another status. */
  changed(): void {
    // Channels hear of a lost connection before this does.
    const state: string | undefined = this.client?.state;
    if (state === "connected") this.#connected();
  }

  start(): void {
    clearTimeout(this.#starting);
    this.#lastError = undefined;
    this.#set("connecting");
    this.client ??= this.#createClient();
    for (const feed of this.#held()) feed.open();
    this.client.connect();
  }

  /** Starts, and tells how the attempt ends. */
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
    this.#set(status);
    this.client?.disconnect();
  }

  /** After a change of user: the old connection ends; a new one begins if anything needs it. */
  restart(): void {
    const isNeeded = this.#held().length > 0 || (this.client && this.status !== "idle");
    this.client?.disconnect();
    if (isNeeded) this.start();
    else this.#set("idle");
  }

  /** Runs a request for a token; a "no" of Django becomes `""`, the SDK's word for it. */
  async guard(request: () => Promise<string>): Promise<string> {
    try {
      return await request();
    } catch (error) {
      if (this.signsOut(error)) return "";
      if (error instanceof IdentityChanged) {
        this.grants.expire();
        this.client?.disconnect();
        this.start();
      } else if (error instanceof InstantError && !(error instanceof SupersededError)) {
        this.#lastError = error;
      }
      throw error;
    }
  }

  /** Ends it all where `cause` says that nobody may connect from here; tells whether it does. */
  signsOut(cause: unknown): cause is SignedOutError | RefusedError {
    if (!refusesUser(cause)) return false;
    this.#lastError = cause;
    this.signOut();
    return true;
  }

  /** Ends it all, and forgets who it was. */
  signOut(): void {
    this.grants.forget();
    this.stop("signed-out");
  }

  #held(): Feed[] {
    return [...this.feeds.values()].filter((feed) => feed.isHeld);
  }

  /** Connected; whether that is all, the channels know. */
  #connected(): void {
    this.#set(this.#held().some((feed) => feed.isBehind) ? "catching-up" : "live");
  }

  #set(status: Status): void {
    if (status === this.status) return;
    this.status = status;
    this.listeners.status.emit(status);
  }

  #createClient(): Centrifuge {
    const { config, grants } = this;
    const transports = new Transports(config);
    const client: Centrifuge = new Centrifuge(transports.endpoints, {
      ...transports.options,
      timeout: config.timeout,
      minReconnectDelay: config.reconnectDelay[0],
      maxReconnectDelay: config.reconnectDelay[1],
      // Asked when there is no token yet, when the server found it expired, or to prolong a connection.
      getToken: () =>
        this.isConnected
          ? this.guard(() => grants.renew([]))
          : this.#grant(transports, () => grants.connectionToken()),
      // Asked before every attempt, after getToken: the moment to replace a token that is too old, or of
      // somebody who was signed in before.
      getData: async () => {
        if (!grants.isFresh) client.setToken(await this.#grant(transports, () => grants.connectionToken()));
        return null;
      },
    });
    client.on("connecting", ({ code }) => {
      // Not for connect(): what login or channels() just fetched is fresh.
      if (code !== CALLED) grants.expire();
      transports.restart(client);
      // Without a network nothing is on the way. Not every browser knows, and Node doesn't.
      this.#set((globalThis.navigator as Navigator | undefined)?.onLine === false ? "offline" : "connecting");
    });
    client.on("connected", () => {
      this.#lastError = undefined;
      this.#expired = 0;
      transports.connected(client);
      this.#connected();
    });
    client.on("disconnected", ({ code, reason }) => {
      if (code === CALLED) return;
      if (endsUser(code)) {
        this.signOut();
      } else if (code === INVALID_TOKEN && Date.now() - this.#tokenRefused > TOKEN_REFUSED_AGAIN) {
        // Somebody signed in or out while the tokens were on their way: once more, with new ones.
        this.#tokenRefused = Date.now();
        grants.expire();
        this.start();
      } else {
        this.#fail(code, `Closed: ${reason}`);
        this.#set("offline");
      }
    });
    client.on("error", ({ error: { code, message } }) => {
      if (this.isConnected) return;
      const isOver = transports.failed(client, code);
      // An expired token is replaced; two in a row mean that no token is ever young enough.
      if (code === TOKEN_EXPIRED && this.#expired++ === 0) return;
      this.#fail(code, message);
      if (isOver && this.status === "connecting") this.#set("offline");
    });
    return client;
  }

  /** Asks for a grant for all channels held: what it lacks is denied, what it has again is asked for. */
  #grant(transports: Transports, request: () => Promise<string>): Promise<string> {
    return this.guard(async () => {
      const token = await request();
      transports.setUrls(this.grants.urls);
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
