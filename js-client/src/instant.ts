import type { Centrifuge } from "centrifuge";

import { Channel } from "./channel.js";
import { resolveConfig } from "./config.js";
import { Connection } from "./connection.js";
import { SignedOutError } from "./errors.js";
import { byteLength } from "./size.js";
import { startCall, startRequest } from "./start-call.js";
import { createId, TAB_HEADER } from "./tab.js";
import type { AnyMethod, Given, InstantMethods, ResultOf } from "./methods.js";
import type { InstantOptions } from "./options.js";
import type {
  Call,
  CallOptions,
  ChannelInfo,
  InstantEventMap,
  ListenOptions,
  RequestOptions,
  Status,
} from "./types.js";

/** The longest channel name that Centrifugo accepts, in bytes. */
const NAME_LIMIT = 255;

/** The page's connection to the message server: one for all channels. */
export class Instant {
  /** A random name for this page load, by which the page recognizes the messages that it caused. */
  readonly tab = createId();
  readonly #connection: Connection;

  /** @internal Use `createInstant()`. */
  constructor(options: InstantOptions) {
    this.#connection = new Connection(resolveConfig(options), this.tab);
  }

  /** The state of the connection; see `Status`. */
  get status(): Status {
    return this.#connection.status;
  }

  /**
   * Returns the headers that mark a request to Django as this page's, so that the messages it causes have
   * `own: true` here. For `fetch`, htmx and others; send them to this page's site only.
   */
  headers(): Record<string, string> {
    return { [TAB_HEADER]: this.tab };
  }

  /** Returns a new id for a message, to recognize the message when it arrives. */
  createId(): string {
    return createId();
  }

  /** Calls `listener` with every `"status"`, `"user"`, `"lost"` or `"error"`. Returns a function that removes it. */
  on<Name extends keyof InstantEventMap>(
    event: Name,
    listener: (value: InstantEventMap[Name]) => unknown,
    options?: ListenOptions,
  ): () => void {
    return this.#connection.listeners[event].add(listener, options);
  }

  /**
   * Returns a handle of a channel. Its first listener connects the page; before that nothing is sent.
   *
   * Throws `TypeError` if no channel can have the name.
   */
  channel<Data = unknown>(name: string): Channel<Data> {
    if (!name || byteLength(name) > NAME_LIMIT) {
      throw new TypeError("A channel name has 1 to 255 bytes");
    }
    return new Channel<Data>(name, this.#connection);
  }

  /** Returns the channels that Django offers the user. Rejects with `SignedOutError` if Django refuses. */
  async channels(): Promise<readonly ChannelInfo[]> {
    try {
      return await this.#connection.grants.list();
    } catch (error) {
      throw this.#connection.signsOut(error) ? new SignedOutError("Signed out", { cause: error }) : error;
    }
  }

  /**
   * Connects the page, which the first listener of a channel does too.
   *
   * Resolves when the page is connected. Rejects with `SignedOutError` if Django refuses, and with
   * `ConnectError` if this attempt fails; further attempts follow until `disconnect()`.
   */
  async connect(): Promise<void> {
    const connection = this.#connection;
    if (connection.isConnected) return;
    // The next attempt may be seconds away, and the caller wants an answer now.
    if (connection.status === "offline") connection.client?.disconnect();
    await connection.attempt();
  }

  /** Closes the connection until it is needed again. Channels keep their listeners. */
  disconnect(): void {
    this.#connection.stop("idle");
  }

  /**
   * Logs in to Django and connects again as the new user, with the channels in use.
   *
   * Rejects with `RefusedError` for wrong credentials and, after too many of them, with a `ReplyError`
   * whose `status` is 429 and whose `retryAfter` is the number of seconds to wait.
   */
  async login(username: string, password: string): Promise<readonly ChannelInfo[]> {
    const { django, grants } = this.#connection;
    const channels = grants.accept(await django.login(username, password));
    this.#connection.restart();
    return channels;
  }

  /** Logs out of Django, then closes this page's connection. */
  async logout(): Promise<void> {
    await this.#connection.django.logout();
    this.#connection.userIs("");
    this.#connection.signOut();
  }

  /**
   * Connects again as the user who is signed in now. Call it after a login or logout that the page did
   * without this client. Settles as `connect()` does.
   */
  async refresh(): Promise<void> {
    this.#connection.grants.forget();
    this.#connection.client?.disconnect();
    await this.#connection.attempt();
  }

  /**
   * Calls a method that Python answers with `@on_rpc(method)`. `data` is an object with its arguments.
   *
   * Rejects with `RpcError`, with the signal's reason, or with `RequestError` if a part of this client could not
   * be loaded. The answer comes over the page's connection; a call that is made before waits for it. If the page
   * can't connect and Django has a gateway, the call is made over HTTP.
   */
  // eslint-disable-next-line @typescript-eslint/no-redundant-type-constituents -- empty here, filled by the application
  rpc<Name extends keyof InstantMethods & string>(method: Name, ...given: Given<Name, CallOptions>): Call<ResultOf<Name>>;
  rpc<Result = unknown>(method: AnyMethod, data?: unknown, options?: CallOptions): Call<Result>;
  rpc(method: string, data: unknown = {}, options?: CallOptions): Call {
    return startCall(this.#connection, method, data, options);
  }

  /**
   * Asks a responder, which answers in a process of its own (`@responder(name)`). `data` is an object with its
   * arguments. The promise of its answer is that of a queued call: with progress, a ticket and `cancel()`.
   */
  request<Result = unknown>(name: string, data?: unknown, options?: RequestOptions): Call<Result> {
    return startRequest<Result>(this.#connection, name, data, options);
  }

  /** Takes up a queued call by its `ticket`, also on another page or after a reload. */
  ticket<Result = unknown>(id: string, options?: CallOptions): Call<Result> {
    return startCall<Result>(this.#connection, "instant.ticket", { id }, options);
  }

  /** Returns the SDK's client, for what this class does not cover; `undefined` before the first attempt to connect. */
  getClient(): Centrifuge | undefined {
    return this.#connection.client;
  }
}

/** Creates a connection from the settings of `{% instant_script %}` and the given options. */
export function createInstant(options: InstantOptions = {}): Instant {
  return new Instant(options);
}
