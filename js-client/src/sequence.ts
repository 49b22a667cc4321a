import type { SubscribedContext } from "centrifuge";

import type { InstantMessage, Position } from "./types.js";

/** How many message ids are kept to recognize a second delivery. */
const IDS = 256;

/** The messages of a channel that were delivered to the page, so that none is delivered twice. */
export class Sequence {
  /** The position to recover from. */
  position: { readonly epoch: string; offset: number } | undefined;
  /** The position after which all messages were delivered or will be; its epoch is `""` if the channel has no history. */
  start: Position | undefined;
  /** True if messages were missed before the current subscription which the server no longer has. */
  hasGap = false;
  /** The last messages by id. Only the page's own are kept whole, for `once()`; of others the id is enough. */
  readonly seen = new Map<string, InstantMessage | undefined>();

  /** Lets the first subscription recover what came after a position that the page knows. */
  startAt({ epoch, offset }: Position): void {
    this.start = { epoch, offset };
    this.position = { epoch, offset };
  }

  /** Called when a subscription starts. Returns true if the publications that come with it were missed. */
  begin({ streamPosition: now, hasRecoveredPublications, wasRecovering, recovered }: SubscribedContext): boolean {
    const before = this.position;
    // With the delivery Latest the server recovers nothing before the first message, and nothing is missing then.
    const isSame = before?.epoch === now?.epoch && before?.offset === now?.offset;
    if (!before || before.epoch !== now?.epoch || !recovered) this.start = { epoch: "", offset: 0, ...now };
    this.hasGap = before !== undefined && wasRecovering && !recovered && !isSame;
    // The position stays at the last delivered message, because the recovered ones follow after this call.
    const delivered = before && before.epoch === now?.epoch ? before.offset : 0;
    this.position = now && { epoch: now.epoch, offset: hasRecoveredPublications ? delivered : now.offset };
    // The first subscription may come with the newest value, which nobody missed.
    return before !== undefined && hasRecoveredPublications;
  }

  /** Records a message. Returns false if it was delivered before. */
  record(message: InstantMessage): boolean {
    const { id, offset, own } = message;
    if (offset !== undefined && this.position) {
      if (offset <= this.position.offset) return false;
      this.position.offset = offset;
    }
    if (id === "") return true;
    // An outbox may publish a message twice, with another offset.
    if (this.seen.has(id)) return false;
    this.seen.set(id, own ? message : undefined);
    const [oldest = ""] = this.seen.keys();
    if (this.seen.size > IDS) this.seen.delete(oldest);
    return true;
  }
}
