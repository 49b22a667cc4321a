/** The request header with `Instant.tab`. */
export const TAB_HEADER = "X-Instant-Tab";

/** Returns 128 random bits as digits. `crypto.randomUUID` exists on pages with HTTPS only. */
export function createId(): string {
  return crypto.getRandomValues(new Uint32Array(4)).join("-");
}
