import type { Member } from "./member.js";
import { without, type Publication, type Reply, type SubscribeRequest, type SubscribeResult } from "./wire.js";

/** How many publications of a channel are kept for tabs that are a little behind, and of how many characters. */
const KEPT = 256;
const KEPT_SIZE = 262_144;
/** What the SDK and the server call a subscription that has to be made anew: it recovers what it missed, or has expired. */
const AGAIN = { code: 2500, reason: "insufficient state" };
const EXPIRED = { code: 2501, reason: "subscription expired" };
/** A flag of subscriptions: pushes have a number instead of the channel's name. */
const COMPACT = 1;
/** The longest time that a timer can wait. */
const LONGEST = 2 ** 31 - 1;

/** What a topic needs of the hub. */
export interface Server {
  call(command: { subscribe: SubscribeRequest }, answered: (reply: Reply) => void): void;
  unsubscribe(channel: string): void;
  /** Called when nobody has the topic any more. */
  ended(topic: Topic): void;
}

/** A subscription that a tab has asked for. */
interface Waiting {
  readonly member: Member;
  readonly id: number;
  readonly request: SubscribeRequest;
}

/** The subscription at the server. */
interface Live {
  readonly result: SubscribeResult;
  /** True if it was made without a position, and the answer had nothing in it: others then get the same. */
  isPlain: boolean;
  readonly hearsJoins: boolean;
  epoch: string;
  offset: number;
  /** The position from which on all publications are kept. */
  from: number;
  kept: { readonly pub: Publication; readonly offset: number; readonly size: number }[];
  size: number;
  expires: number;
  /** The tab that renews it. */
  renewer: Member | undefined;
}

/** A channel: the one subscription at the server, and the tabs that have it. */
export class Topic {
  readonly name: string;
  readonly #server: Server;
  readonly #holders = new Set<Member>();
  #waiting: Waiting[] = [];
  #isAsking = false;
  #live: Live | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(name: string, server: Server) {
    this.name = name;
    this.#server = server;
  }

  /** Subscribes a tab: from what is known here where that is enough, else the server is asked. */
  subscribe(member: Member, id: number, request: SubscribeRequest): void {
    this.#holders.delete(member);
    this.#waiting.push({ member, id, request });
    this.#go();
  }

  leave(member: Member): void {
    this.#waiting = this.#waiting.filter((one) => one.member !== member);
    this.#holders.delete(member);
    if (this.#live?.renewer === member) {
      this.#live.renewer = undefined;
      this.#watch();
    }
    this.#go();
  }

  /** Hands a publication to all who have the channel. */
  publish(pub: Publication, line: string): void {
    if (this.#live) this.#keep(this.#live, pub, line.length);
    for (const member of this.#holders) member.push(line);
  }

  /** Hands joins and leaves to all. */
  tell(line: string): void {
    for (const member of this.#holders) member.push(line);
  }

  /** The server has ended the subscription. */
  end(line: string): void {
    this.tell(line);
    this.#forget();
    this.#go();
  }

  /** The server has renewed it. */
  renewed(member: Member, ttl: number): void {
    if (!this.#live) return;
    this.#live.renewer = member;
    this.#live.expires = Date.now() + ttl * 1000;
  }

  /** The connection is closed. */
  stop(): void {
    this.#waiting = [];
    this.#forget();
  }

  #forget(): void {
    clearTimeout(this.#timer);
    this.#holders.clear();
    this.#live = undefined;
  }

  #go(): void {
    while (!this.#isAsking) {
      const [first] = this.#waiting;
      if (!first) break;
      this.#waiting.shift();
      const answer = this.#answer(first);
      if (answer) this.#admit(first, answer);
      else this.#ask(first);
    }
    if (this.#isAsking || this.#holders.size || this.#waiting.length) return;
    if (this.#live) this.#server.unsubscribe(this.name);
    this.#forget();
    this.#server.ended(this);
  }

  #admit({ member, id }: Waiting, subscribe: SubscribeResult): void {
    this.#holders.add(member);
    member.line(JSON.stringify({ id, subscribe }));
  }

  /** Returns what the server would answer, `undefined` if only the server knows. */
  #answer({ member, request }: Waiting): SubscribeResult | undefined {
    const live = this.#live;
    const now = Date.now();
    if (!live || live.expires <= now || (request.join_leave && !live.hearsJoins)) return undefined;
    const { recoverable } = live.result;
    const since = request.recover && recoverable ? (request.offset ?? 0) : undefined;
    const isSame = !request.epoch || request.epoch === live.epoch;
    if (since === undefined ? !live.isPlain : isSame && since < live.from) return undefined;
    const isRenewer = live.expires < Infinity && !live.renewer;
    if (isRenewer) live.renewer = member;
    return {
      ...live.result,
      ...(isRenewer && { expires: true, ttl: Math.ceil((live.expires - now) / 1000) }),
      ...(recoverable && { epoch: live.epoch, offset: live.offset }),
      ...(since !== undefined && { was_recovering: true }),
      ...(since !== undefined &&
        isSame && { recovered: true, offset: since, publications: live.kept.filter(({ offset }) => offset > since).map(({ pub }) => pub) }),
    };
  }

  /** Makes the subscription, or makes it anew: from the position of this tab, or with what it wants to hear. */
  #ask(waiting: Waiting): void {
    const { flag = 0 } = waiting.request;
    const before = this.#live;
    this.#isAsking = true;
    if (before) this.#server.unsubscribe(this.name);
    const asked: SubscribeRequest = {
      ...without(waiting.request, "delta", "flag"),
      ...(before?.hearsJoins && { join_leave: true }),
      ...(flag & ~COMPACT && { flag: flag & ~COMPACT }),
    };
    // While it is under way, who leaves is no longer in the list.
    this.#waiting.unshift(waiting);
    this.#server.call({ subscribe: asked }, ({ subscribe, error }) => {
      this.#isAsking = false;
      const isWanted = this.#waiting.includes(waiting);
      this.#waiting = this.#waiting.filter((one) => one !== waiting);
      if (subscribe) {
        this.#begin(asked, subscribe, waiting.member);
        if (isWanted) this.#admit(waiting, subscribe);
        else if (this.#live?.renewer === waiting.member) {
          this.#live.renewer = undefined;
          this.#watch();
        }
      } else {
        this.#again();
        this.#forget();
        if (isWanted) waiting.member.line(JSON.stringify({ id: waiting.id, error }));
      }
      this.#go();
    });
  }

  /** Lets those who have the channel subscribe again, by which they recover what they missed. */
  #again(): void {
    this.tell(JSON.stringify({ push: { channel: this.name, unsubscribe: AGAIN } }));
    this.#holders.clear();
  }

  #begin(asked: SubscribeRequest, result: SubscribeResult, renewer: Member): void {
    const before = this.#live;
    const { recoverable, recovered, was_recovering: wasRecovering, epoch = "", offset = 0, expires, ttl = 0 } = result;
    const { publications = [], data } = result;
    const since = asked.recover && recovered ? (asked.offset ?? 0) : undefined;
    const top = Math.max(offset, publications.at(-1)?.offset ?? 0);
    const live: Live = (this.#live = {
      result: without(result, "publications", "data", "recovered", "was_recovering", "expires", "ttl"),
      isPlain: !asked.recover && !wasRecovering && publications.length === 0 && data === undefined,
      hearsJoins: asked.join_leave === true,
      epoch,
      offset: since ?? top,
      from: since ?? top,
      kept: [],
      size: 0,
      expires: expires ? Date.now() + ttl * 1000 : Infinity,
      renewer: expires ? renewer : undefined,
    });
    // A channel is of one kind, however it was asked for.
    if (before?.isPlain && asked.recover) live.isPlain = true;
    if (since !== undefined) for (const pub of publications) this.#keep(live, pub);
    this.#watch();
    if (!before || !recoverable || !this.#holders.size) return;
    const news = publications.filter(({ offset: at = 0 }) => at > before.offset);
    const isLatest = !asked.recover && wasRecovering;
    const isWhole = isLatest || news.length === top - before.offset;
    if (epoch !== before.epoch || !isWhole) {
      this.#again();
      return;
    }
    for (const pub of news) this.tell(JSON.stringify({ push: { channel: this.name, pub } }));
    if (isLatest || before.from >= live.from) return;
    Object.assign(live, { from: before.from, kept: before.kept, size: before.size, offset: before.offset });
    for (const pub of news) this.#keep(live, pub);
  }

  #keep(live: Live, pub: Publication, size = JSON.stringify(pub).length): void {
    if (pub.epoch) live.epoch = pub.epoch;
    const { offset } = pub;
    if (!offset || offset <= live.offset) return;
    live.offset = offset;
    live.kept.push({ pub, offset, size });
    live.size += size;
    while (live.kept.length > KEPT || live.size > KEPT_SIZE) {
      const oldest = live.kept.shift();
      if (!oldest) break;
      live.size -= oldest.size;
      live.from = oldest.offset;
    }
  }

  /** Where no tab renews the subscription, one makes it anew when it has expired. The server waits a little. */
  #watch(): void {
    clearTimeout(this.#timer);
    const live = this.#live;
    if (!live || live.renewer || live.expires === Infinity) return;
    this.#timer = setTimeout(
      () => {
        const [member] = this.#holders;
        if (this.#live !== live || live.renewer || !member) return;
        if (Date.now() < live.expires) this.#watch();
        else {
          this.#holders.delete(member);
          member.line(JSON.stringify({ push: { channel: this.name, unsubscribe: EXPIRED } }));
        }
      },
      Math.min(live.expires - Date.now(), LONGEST),
    );
  }
}
