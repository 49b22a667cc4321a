/** True for a JSON object: not an array, not null. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return Object(value) === value && !Array.isArray(value);
}

/** Returns the value if it is a string, else `""`. */
export function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}
