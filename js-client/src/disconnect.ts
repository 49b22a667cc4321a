/** The SDK's code for a connection that this page closed, or that it opens because it was asked to. */
export const CALLED = 0;
/** The SDK's codes for an exception while it handled a message, and for a message that the server took for too large. */
const BAD_PROTOCOL = 2;
const MESSAGE_SIZE_LIMIT = 3;
/** Centrifugo's codes for a token that it does not accept, too many connections, and too many errors. */
const INVALID_TOKEN = 3500;
const CONNECTION_LIMIT = 3504;
const TOO_MANY_ERRORS = 3509;

const TEMPORARY = [BAD_PROTOCOL, MESSAGE_SIZE_LIMIT, INVALID_TOKEN, CONNECTION_LIMIT, TOO_MANY_ERRORS];

/**
 * True if an attempt may succeed later, although the SDK makes none after `code`: during a deployment
 * Django and the message server may have different keys, and other connections may end.
 */
export function mayBeTemporary(code: number): boolean {
  return TEMPORARY.includes(code);
}
