/** The request header that carries `Instant.tab` to Django. */
export const TAB_HEADER = "X-Instant-Tab";

/** 24 hexadecimal digits that nobody else has. `crypto.randomUUID` is missing on pages without HTTPS. */
export function createId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
