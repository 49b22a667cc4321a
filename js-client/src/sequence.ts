import type { SubscribedContext } from "centrifuge";

import type { InstantMessage } from "./types.js";

/** Messages whose ids are remembered to notice a second delivery. */
const IDS = 256;

/** What a page was given of a channel, so that nothing is given twice. */
export class Sequence {
  /** Where to go on. */
  position: { readonly epoch: string; offset: number } | undefined;
  /** By id; only the page's own are kept whole, because only those are asked for again. */
  readonly seen = new Map<string, InstantMessage | undefined>();

  /** A subscription begins; true when what comes with it was missed. */
  begin({ streamPosition: now, hasRecoveredPublications }: SubscribedContext): boolean {
    const before = this.position;
    // Only what was delivered counts: a channel that keeps its newest value sends it right after this.
    const delivered = before && before.epoch === now?.epoch ? before.offset : 0;
    this.position = now && { epoch: now.epoch, offset: hasRecoveredPublications ? delivered : now.offset };
    // What comes with the first subscription is the newest value, which nobody missed.
    return before !== undefined && hasRecoveredPublications;
  }

  /** Notes a message; false when it was delivered before. */
  record(message: InstantMessage): boolean {
    const { id, offset, own } = message;
    if (offset !== undefined && this.position) {
      if (offset <= this.position.offset) return false;
      this.position.offset = offset;
    }
    if (id === "") return true;
    // At least once is what an outbox promises: the second time says nothing new.
    if (this.seen.has(id)) return false;
    this.seen.set(id, own ? message : undefined);
    const [oldest = ""] = this.seen.keys();
    if (this.seen.size > IDS) this.seen.delete(oldest);
    return true;
  }
}
