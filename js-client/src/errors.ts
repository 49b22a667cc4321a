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
  readonly status: number;

  constructor(message: string, status: number, options?: ErrorOptions) {
    super(message, options);
    this.status = status;
  }
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
  readonly code: number | undefined;

  constructor(message: string, code?: number, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

export class ChannelError extends InstantError {
  override name = "ChannelError";
  readonly channel: string;
  readonly code: number;

  constructor(message: string, channel: string, code: number, options?: ErrorOptions) {
    super(message, options);
    this.channel = channel;
    this.code = code;
  }
}

export class SupersededError extends InstantError {
  override name = "SupersededError";
}
