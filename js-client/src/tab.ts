/** The request header that carries `Instant.tab` to Django. */
export const TAB_HEADER = "X-Instant-Tab";

/** 128 random bits, as digits. `crypto.randomUUID` is missing on pages without HTTPS. */
export function createId(): string {
  return crypto.getRandomValues(new Uint32Array(4)).join("-");
}
