import type { Centrifuge } from "centrifuge";

import { Channel } from "./channel.js";
import { resolveConfig } from "./config.js";
import { Connection } from "./connection.js";
import { SignedOutError } from "./errors.js";
import { createId, TAB_HEADER } from "./tab.js";
import type { ChannelInfo, InstantEventMap, InstantOptions, ListenOptions, Status } from "./types.js";

/** Longest channel name that Centrifugo accepts, in bytes. */
const NAME_LIMIT = 255;

/** The page's connection to its messages: one socket, however many channels. */
export class Instant {
  /** Names this page to Django, so that it knows its own messages again; another one for each page load. */
  readonly tab = createId();
  readonly #connection: Connection;

  /** @internal Use `createInstant()`. */
  constructor(options: InstantOptions) {
    this.#connection = new Connection(resolveConfig(options), this.tab);
  }

  /** Where the connection stands; see `Status`. */
  get status(): Status {
    return this.#connection.status;
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
    return this.#connection.listeners[event].add(listener, options);
  }

  /**
   * A handle of a channel. Nothing is sent before its first listener; then the page connects by itself.
   *
   * Throws `TypeError` for a name that no channel can have.
   */
  channel<Data = unknown>(name: string): Channel<Data> {
    if (!name || new TextEncoder().encode(name).length > NAME_LIMIT) {
      throw new TypeError("A channel name has 1 to 255 bytes");
    }
    return new Channel<Data>(name, this.#connection);
  }

  /** The channels that Django offers the current user. Throws `SignedOutError` when nobody may ask. */
  async channels(): Promise<readonly ChannelInfo[]> {
    try {
      return await this.#connection.grants.list();
    } catch (error) {
      throw this.#connection.signsOut(error) ? new SignedOutError("Signed out", { cause: error }) : error;
    }
  }

  /**
   * Connects. Not needed before `channel().on()`, which does it.
   *
   * Resolves when the connection is live. Rejects with `SignedOutError` when Django refuses, and with
   * `ConnectError` when this attempt fails; attempts go on then until `disconnect()`.
   */
  async connect(): Promise<void> {
    const connection = this.#connection;
    if (connection.isConnected) return;
    // A retry may be seconds away; whoever calls wants to know now.
    if (connection.status === "offline") connection.client?.disconnect();
    await connection.attempt();
  }

  /** Closes the connection until something asks for it again. Channels keep their listeners. */
  disconnect(): void {
    this.#connection.stop("idle");
  }

  /**
   * Signs in with Django. Channels in use are asked for again, for the new user.
   *
   * Rejects with `RefusedError` for wrong credentials, and after too many with a `ReplyError` that has
   * the `status` 429 and `retryAfter`.
   */
  async login(username: string, password: string): Promise<readonly ChannelInfo[]> {
    const { django, grants } = this.#connection;
    const channels = grants.accept(await django.login(username, password));
    this.#connection.restart();
    return channels;
  }

  /** Signs out with Django, then closes this page's connection. */
  async logout(): Promise<void> {
    await this.#connection.django.logout();
    this.#connection.signOut();
  }

  /**
   * Asks Django for everything again, for whoever is signed in now: after a login or logout of the
   * page's own. Settles as `connect()` does.
   */
  async refresh(): Promise<void> {
    this.#connection.grants.forget();
    this.#connection.client?.disconnect();
    await this.#connection.attempt();
  }

  /** The SDK's client, for what is not covered here; `undefined` before the first connection. */
  getClient(): Centrifuge | undefined {
    return this.#connection.client;
  }
}

/** The page's connection, with the settings of `{% instant_script %}` and the options given here. */
export function createInstant(options: InstantOptions = {}): Instant {
  return new Instant(options);
}
