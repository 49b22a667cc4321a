import type { ListenOptions } from "./types.js";

/** The listeners of one event. */
export class Listeners<Value> {
  // Each entry is an object, so that a function that was added twice is called twice.
  readonly #entries = new Set<{ readonly call: (value: Value) => unknown; readonly key: string | undefined; remove: () => void }>();

  /**
   * Adds `call` and returns a function that removes it. `removed` runs once, however it is removed. With a
   * `key` it replaces the listener that has the same key.
   */
  add(call: (value: Value) => unknown, { signal, key }: ListenOptions = {}, removed?: () => void): () => void {
    const remove = (): void => {
      if (!this.#entries.delete(entry)) return;
      signal?.removeEventListener("abort", remove);
      removed?.();
    };
    const entry = { call, key, remove };
    if (signal?.aborted) return remove;
    for (const other of this.#entries) if (key && other.key === key) other.remove();
    this.#entries.add(entry);
    signal?.addEventListener("abort", remove);
    return remove;
  }

  /** Calls all listeners and returns their results. */
  emit(value: Value): unknown[] {
    const results: unknown[] = [];
    for (const entry of [...this.#entries]) {
      // A listener before it may have removed it.
      if (!this.#entries.has(entry)) continue;
      try {
        results.push(entry.call(value));
      } catch (error) {
        // The browser reports it as an uncaught error, and neither other listeners nor the connection stop.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
    return results;
  }
}
