import type { Snapshot } from "./types.js";

/** States that the page's HTML had and nobody has used yet, by channel. */
const states = new Map<string, Snapshot>();

/** Returns the state that `{% instant_state %}` has put into the page for a channel; the next call returns nothing. */
export function takePageState(name: string): Snapshot | undefined {
  const page = globalThis.document as Document | undefined;
  // Each time, because htmx and Turbo put more into the page.
  for (const element of page?.querySelectorAll("script[data-instant-state]") ?? []) {
    element.removeAttribute("data-instant-state");
    for (const [channel, state] of Object.entries(JSON.parse(element.textContent) as Record<string, Snapshot>)) {
      states.set(channel, state);
    }
  }
  const state = states.get(name);
  states.delete(name);
  return state;
}
