import { RefusedError, SignedOutError } from "./errors.js";

/** Centrifugo's codes for a connection that was ended because of its user: by Django, or by the server's own rules. */
const FORCED = 3503;
const PERMISSION = 3507;

/**
 * True when a request to Django failed because nobody may connect from this browser: Django answered 401
 * or 403, or `Grants` got an anonymous token where a user had been signed in.
 */
export function refusesUser(cause: unknown): cause is SignedOutError | RefusedError {
  return cause instanceof RefusedError || cause instanceof SignedOutError;
}

/** True when the message server closed the connection with `code` because its user may not connect. */
export function endsUser(code: number): boolean {
  return code === FORCED || code === PERMISSION;
}
