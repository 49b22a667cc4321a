/** The properties of errors, beside the message. */
export interface Details extends ErrorOptions {
  readonly status?: number;
  readonly retryAfter?: number | undefined;
  readonly channel?: string;
  readonly code?: number;
  readonly method?: string;
  readonly temporary?: boolean;
  readonly fields?: Readonly<Record<string, string>>;
}

/**
 * The base class of all errors of this package.
 *
 *   InstantError
 *   ├── ConfigError      something is missing on the page or in the options
 *   ├── RequestError     Django could not be reached
 *   ├── ReplyError       Django answered with an error
 *   │   └── RefusedError Django answered 401 or 403
 *   ├── SignedOutError   nobody who may connect is signed in
 *   ├── ConnectError     the message server could not be reached, or closed the connection
 *   ├── ChannelError     something about one channel failed
 *   ├── RpcError         a call of a method failed
 *   └── SupersededError  a login, a logout or a new connection made the request pointless
 *
 * No message contains a token or a password.
 */
export class InstantError extends Error {
  override name = "InstantError";

  /** @internal The details become properties, which subclasses declare. */
  constructor(message: string, details?: Details) {
    super(message, details);
    Object.assign(this, details);
  }
}

export class ConfigError extends InstantError {
  override name = "ConfigError";
}

export class RequestError extends InstantError {
  override name = "RequestError";
  /** Another try may help. */
  readonly temporary = true;
}

export class ReplyError extends InstantError {
  override name = "ReplyError";
  /** The HTTP status. */
  declare readonly status: number;
  /** Seconds to wait before the next try, if Django names them: after too many failed logins. */
  declare readonly retryAfter: number | undefined;
}

export class RefusedError extends ReplyError {
  override name = "RefusedError";
}

export class SignedOutError extends InstantError {
  override name = "SignedOutError";
}

export class ConnectError extends InstantError {
  override name = "ConnectError";
  /** Centrifugo's code, if the server sent one. */
  declare readonly code: number | undefined;
}

export class ChannelError extends InstantError {
  override name = "ChannelError";
  declare readonly channel: string;
  declare readonly code: number;
  /** Of `publish()`, as `RpcError` has it: whether another try may help, in how many seconds, and what is wrong with the data. */
  declare readonly temporary?: boolean;
  declare readonly retryAfter?: number | undefined;
  declare readonly fields?: Readonly<Record<string, string>>;
}

export class RpcError extends InstantError {
  override name = "RpcError";
  /** The method that was called. */
  declare readonly method: string;
  /** What a handler or the message server answered, from 100 on; below that there was no answer, see the README. */
  declare readonly code: number;
  /** True if another try may help. */
  declare readonly temporary: boolean;
  /** Seconds to wait before the next try, if the server names them. */
  declare readonly retryAfter: number | undefined;
  /** What is wrong with each part of the data, by its path such as `lines.0.quantity`; empty if nothing is. */
  declare readonly fields: Readonly<Record<string, string>>;
}

export class SupersededError extends InstantError {
  override name = "SupersededError";
}
