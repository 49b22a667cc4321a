import { Listeners } from "../listeners.js";
import { toMessage } from "../message.js";
import type { ChannelStatus, InstantMessage, LostInfo } from "../types.js";

/** What the server sends of a channel. */
export interface Publication {
  readonly data: unknown;
  readonly offset?: number;
  readonly info?: { readonly user: string; readonly client: string };
}

/** From where on a channel is heard. */
export interface Start {
  readonly epoch?: string;
  readonly offset?: number;
  readonly recoverable?: boolean;
}

/** By which Django tells that it lost messages; see `../feed.ts`. */
const LOST = "instant:lost";
const NOBODY = new Set<string>();
/** How many ids are kept to recognize a second delivery. */
const IDS = 256;

/** A channel's listeners, and what they have heard. */
export class Feed {
  readonly messages = new Listeners<InstantMessage>();
  readonly statuses = new Listeners<ChannelStatus>();
  readonly gaps = new Listeners<LostInfo>();
  readonly name: string;
  status: ChannelStatus = "idle";
  holders = 0;
  /** Up to which everything was delivered. */
  position: { readonly epoch: string; offset: number } | undefined;
  /** What came before both the server's start and Django's answer were there. */
  #waiting: Publication[] = [];
  #start: Start | undefined;
  #missed: readonly Publication[] | undefined;
  readonly #seen = new Set<string>();

  constructor(name: string) {
    this.name = name;
  }

  set(status: ChannelStatus): void {
    if (status === this.status) return;
    this.status = status;
    this.statuses.emit(status);
  }

  /** Waits for a connection. */
  restart(): void {
    this.#start = this.#missed = undefined;
    this.#waiting = [];
    this.set("subscribing");
  }

  /** Takes what the server says, or what Django has answered; the other is there or will be. */
  begin(start: Start | undefined, missed = this.#missed): void {
    start = this.#start ??= start;
    this.#missed = missed;
    if (!start || !missed || this.status !== "subscribing") return;
    const { epoch = "", offset = 0, recoverable } = start;
    const { position } = this;
    let hasGap = false;
    if (!recoverable) this.position = undefined;
    else {
      // Without a gap each has the next number.
      if (position?.epoch === epoch) for (const one of missed) if (one.offset === position.offset + 1) this.#emit(one, true);
      hasGap = !!position && (position.epoch !== epoch || position.offset < offset);
      if (!position || hasGap) this.position = { epoch, offset };
    }
    this.set("live");
    if (hasGap) this.#lose();
    for (const one of this.#waiting.splice(0)) this.#emit(one, false);
  }

  receive(publication: Publication): void {
    if (this.status === "subscribing") this.#waiting.push(publication);
    else this.#emit(publication, false);
  }

  #emit(publication: Publication, recovered: boolean): void {
    const { position } = this;
    const { offset } = publication;
    if (offset && position) {
      if (offset <= position.offset) return;
      position.offset = offset;
    }
    // It publishes nothing, so nothing is its own.
    const message = toMessage(this.name, { tab: "", clients: NOBODY }, publication, recovered);
    const { id } = message;
    // An outbox may publish a message twice, with another offset.
    if (id && this.#seen.has(id)) return;
    this.#seen.add(id);
    const [oldest] = this.#seen;
    if (this.#seen.size > IDS) this.#seen.delete(oldest as string);
    if (message.eventClass === LOST && !publication.info) this.#lose();
    else this.messages.emit(message);
  }

  #lose(): void {
    this.set("lost");
    const loading = this.gaps.emit({ channel: this.name });
    if (loading.length) {
      void Promise.all(loading).then(() => {
        if (this.status === "lost") this.set("live");
      });
    }
  }
}
