/** A list for pages that draw by themselves. */
import type { Instant } from "../instant.js";
import type { Snapshot } from "../types.js";
import { Follower, type ListView } from "./follower.js";
import { Refused, type ListConfig } from "./rows.js";

/** What `live()` in Python returns. */
export interface LiveRows<Row = unknown> extends ListConfig {
  readonly state: Snapshot | null;
  /** Key and row, in order. */
  readonly items: readonly (readonly [string, Row])[];
}

export interface LiveListOptions<Row> {
  /** Asks for the list anew, as from the view that the page has it from: before its reference ends, and where it is refused. */
  readonly renew?: () => Promise<LiveRows<Row>>;
  /** The user may not see the list any more. */
  readonly onDenied?: () => void;
  readonly onError?: (error: unknown) => void;
}

/**
 * Draws a list of Django's and keeps it up to date: `draw` gets its rows in order, at once and after changes. Returns a
 * function that ends it.
 */
export function liveList<Row>(
  instant: Instant,
  list: LiveRows<Row>,
  draw: (rows: readonly Row[]) => void,
  options: LiveListOptions<Row> = {},
): () => void {
  /** The one that is drawn; none once it has ended. */
  let current: Follower<Row> | undefined;
  const end = (): void => {
    current?.stop();
    current = undefined;
  };
  const begin = (from: LiveRows<Row>): void => {
    const rows = new Map(from.items);
    let isDue = false;
    const later = (): void => {
      if (isDue) return;
      isDue = true;
      queueMicrotask(() => {
        isDue = false;
        if (current === follower) draw(follower.keys.flatMap((key) => (rows.has(key) ? [rows.get(key) as Row] : [])));
      });
    };
    const view: ListView<Row> = {
      has: (key) => rows.has(key),
      show(key, row) {
        rows.set(key, row);
        later();
      },
      move: later,
      hide(key) {
        if (rows.delete(key)) later();
      },
      keep(keys) {
        for (const key of rows.keys()) if (!keys.has(key)) rows.delete(key);
        later();
      },
      async renew() {
        if (!options.renew) throw new Refused();
        const fresh = await options.renew();
        if (current !== follower) return undefined;
        if (fresh.channel === from.channel) return fresh;
        end();
        show(fresh);
        return undefined;
      },
      denied() {
        rows.clear();
        later();
        options.onDenied?.();
      },
      failed(error) {
        options.onError?.(error);
      },
    };
    const follower = new Follower<Row>(instant, from, [...rows.keys()], view);
    current = follower;
    later();
    begins(from);
    follower.start();
  };
  const show = (from: LiveRows<Row>): void => {
    if (from.channel) begin(from);
    else draw(from.items.map(([, row]) => row)); // nothing can change, or no more lists may be followed
  };
  show(list);
  return end;
}

/** Lets the channel go on from the list's position, as from a state in the page's HTML. */
function begins({ channel, state }: LiveRows): void {
  const page = globalThis.document as Document | undefined;
  if (!page || !state) return;
  const script = page.createElement("script");
  script.type = "application/json";
  script.dataset["instantState"] = "";
  script.textContent = JSON.stringify({ [channel]: state });
  page.head.append(script);
  queueMicrotask(() => { script.remove(); });
}
