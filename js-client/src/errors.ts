/** The properties of errors, beside the message. */
interface Details extends ErrorOptions {
  readonly status?: number;
  readonly retryAfter?: number | undefined;
  readonly channel?: string;
  readonly code?: number;
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
}

export class SupersededError extends InstantError {
  override name = "SupersededError";
}
