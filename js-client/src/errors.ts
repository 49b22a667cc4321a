/** What an error tells beside its message. */
interface Details extends ErrorOptions {
  readonly status?: number;
  readonly retryAfter?: number | undefined;
  readonly channel?: string;
  readonly code?: number;
}

/**
 * What can go wrong, one class per kind.
 *
 *   InstantError
 *   ├── ConfigError      the page or the options lack something
 *   ├── RequestError     Django could not be reached
 *   ├── ReplyError       Django answered, but not with what was asked for
 *   │   └── RefusedError Django answered 401 or 403
 *   ├── SignedOutError   nobody is signed in here who may connect
 *   ├── ConnectError     the message server could not be reached, or closed the connection
 *   ├── ChannelError     a subscription failed and is tried again
 *   └── SupersededError  a login, a logout or a new connection overtook the request
 *
 * No message holds a token or a password.
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
  /** Seconds after which it may be tried again, where Django says so: after too many failed logins. */
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
  /** Centrifugo's code, where the server gave one. */
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
