import type { ListenOptions } from "./types.js";

/** A set of callbacks for one event. */
export class Listeners<Value> {
  // An object each, so that one function added twice is called twice and removed apart.
  readonly #entries = new Set<{ readonly call: (value: Value) => unknown }>();

  /** Adds `call` and returns what removes it; `removed` runs once, whoever removes it. */
  add(call: (value: Value) => unknown, { signal }: ListenOptions = {}, removed?: () => void): () => void {
    const remove = (): void => {
      if (!this.#entries.delete(entry)) return;
      signal?.removeEventListener("abort", remove);
      removed?.();
    };
    const entry = { call };
    if (signal?.aborted) return remove;
    this.#entries.add(entry);
    signal?.addEventListener("abort", remove);
    return remove;
  }

  /** Calls all and returns what they returned. */
  emit(value: Value): unknown[] {
    const results: unknown[] = [];
    for (const entry of [...this.#entries]) {
      // An earlier listener may have removed it.
      if (!this.#entries.has(entry)) continue;
      try {
        results.push(entry.call(value));
      } catch (error) {
        // It is the application's: reported like any other, and must not stop the connection.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
    return results;
  }
}
