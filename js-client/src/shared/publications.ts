import type { Member } from "./member.js";
import type { Publication } from "./wire.js";

/** Milliseconds after which what was published is not expected any more: Python may have swallowed it. */
const PATIENCE = 10_000;

interface Sent {
  readonly member: Member;
  readonly id: unknown;
  readonly until: number;
}

const idOf = (data: unknown): unknown => (data as { readonly id?: unknown } | null | undefined)?.id;

/** Knows which tab has published what: on the server all have the same connection. */
export class Publications {
  readonly #sent = new Map<string, Sent[]>();

  /** A tab publishes. Returns a function to call if the server refuses it. */
  sends(member: Member, channel: string, data: unknown): () => void {
    const now = Date.now();
    const list = (this.#sent.get(channel) ?? []).filter(({ until }) => until > now);
    const sent = { member, id: idOf(data), until: now + PATIENCE };
    this.#sent.set(channel, [...list, sent]);
    return () => {
      this.#sent.set(channel, this.#sent.get(channel)?.filter((one) => one !== sent) ?? []);
    };
  }

  /**
   * Returns the tab that has published it. Python may have published something else instead, without that id;
   * the server keeps the order of a connection.
   */
  sender(channel: string, { data }: Publication): Member | undefined {
    const now = Date.now();
    const list = (this.#sent.get(channel) ?? []).filter(({ until }) => until > now);
    const found = list.findIndex(({ id }) => id !== undefined && id === idOf(data));
    const index = Math.max(found, 0);
    this.#sent.set(channel, list.slice(index + 1));
    return list[index]?.member;
  }
}
