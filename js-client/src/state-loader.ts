import type { Django } from "./django.js";
import { RefusedError, ReplyError } from "./errors.js";
import { COLLECT } from "./grants.js";
import type { Snapshot } from "./types.js";

/** How many states a request to Django may ask for. */
const STATES_PER_REQUEST = 100;

/** Asks Django for the states of channels: in one request for all that are wanted within a moment. */
export class StateLoader {
  readonly #django: Django;
  #names = new Set<string>();
  #answer: ReturnType<Django["states"]> | undefined;

  constructor(django: Django) {
    this.#django = django;
  }

  /** Rejects with `RefusedError` if the user may not have the state, or there is none. */
  async load(name: string): Promise<Snapshot> {
    if (!this.#answer || this.#names.size >= STATES_PER_REQUEST) {
      const names = (this.#names = new Set());
      this.#answer = new Promise((resolve) => setTimeout(resolve, COLLECT)).then(() => {
        if (names === this.#names) this.#answer = undefined;
        return this.#django.states([...names]);
      });
    }
    this.#names.add(name);
    const { states, unknown } = await this.#answer;
    const state = states[name];
    if (state) return state;
    if (unknown?.includes(name)) throw new ReplyError(`${name}: no state now`, { status: 503 });
    throw new RefusedError(`${name}: no state`, { status: 403 });
  }
}
