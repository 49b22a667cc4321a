/** An object of JSON, not an array, not null. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return Object(value) === value && !Array.isArray(value);
}

/** The value if it is text, else `""`. */
export function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}
