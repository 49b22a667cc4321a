import type { PublicationContext, SubscribedContext, Subscription } from "centrifuge";

import type { Connection } from "../connection.js";
import type { RpcError } from "../errors.js";
import { isRecord } from "../json.js";
import { Listeners } from "../listeners.js";
import { onServer } from "../names.js";
import type { TicketState } from "../types.js";
import { ask } from "./ask.js";
import { CANCELLED, rpcError } from "./refusals.js";

/** The methods of Django that tell of a ticket, and cancel it. */
export const TICKET = "instant.ticket";
const CANCEL = "instant.cancel";
/** The methods whose tickets may be of requests. */
const KEPT = ["instant.request", TICKET];
/** Milliseconds for their answers, and between questions while no messages arrive: twice as long each time, up to the last. */
const PATIENCE = 10_000;
const POLL_FROM = 1000;
const POLL_TO = 10_000;
/** The states of a call, in their order. */
const RANKS = { queued: 0, running: 1, done: 2, failed: 2, cancelled: 2 } as const;

/** What Django answers a call that it has queued. */
export interface Ticket {
  readonly id: string;
  readonly channel: string;
  readonly token: string;
  /** What it is doing, if that was asked for. */
  readonly state?: TicketState;
}

/** The tickets that a page follows, each once however many calls wait for it. */
const followed = new WeakMap<Connection, Map<string, Follower>>();

/** Returns the follower of a ticket. */
export function follow(connection: Connection, method: string, ticket: Ticket): Follower {
  const all = followed.get(connection) ?? new Map<string, Follower>();
  followed.set(connection, all);
  const known = all.get(ticket.id);
  if (known) return known;
  const follower = new Follower(connection, method, ticket, () => all.delete(ticket.id));
  all.set(ticket.id, follower);
  return follower;
}

const isSame = (one: TicketState, other: TicketState | undefined): boolean => JSON.stringify(one) === JSON.stringify(other);
const rank = ({ state }: TicketState): number => RANKS[state];

/**
 * The way of a queued call to its result.
 *
 * Its states are published in a channel of the ticket. The page subscribes from the channel's beginning, so that
 * what the channel keeps comes too: all of it, or the last. If it keeps nothing, or while the page can't subscribe,
 * Django is asked.
 */
export class Follower {
  readonly id: string;
  readonly result: Promise<unknown>;
  readonly #connection: Connection;
  readonly #method: string;
  readonly #ticket: Ticket;
  readonly #closed: () => void;
  readonly #states = new Listeners<TicketState>();
  #latest: TicketState | undefined;
  /** True if the latest state is from an answer of Django: then its publication may still come. */
  #isAnswer = false;
  /** States that wait until those before them are known. */
  #waiting: TicketState[] | undefined;
  #subscription: Subscription | undefined;
  /** True if Django has to be asked, because a state may have been missed. */
  #isUnsure = false;
  #asking: Promise<void> | undefined;
  #isAskedAgain = false;
  #isOver = false;
  #holders = 0;
  #stop: () => void = () => undefined;
  #settle!: { resolve: (result: unknown) => void; reject: (error: Error) => void };

  constructor(connection: Connection, method: string, ticket: Ticket, closed: () => void) {
    this.id = ticket.id;
    this.#connection = connection;
    this.#method = method;
    this.#ticket = ticket;
    this.#closed = closed;
    this.result = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    // Who waits for it was perhaps told to stop.
    this.result.catch(() => undefined);
    const { state } = ticket;
    // After a task, in which listeners are added.
    setTimeout(() => {
      if (state && (rank(state) === RANKS.done || !connection.client)) this.#take(state, true);
      this.#subscribe(state);
      void this.#poll();
    });
  }

  /** Counts one more that waits for the result; returns a function that counts one less. */
  hold(): () => void {
    this.#holders += 1;
    return () => {
      this.#holders -= 1;
      if (this.#holders === 0) this.#close();
    };
  }

  /** Calls `listener` with the latest state and with all that follow. */
  hear(listener: (state: TicketState) => void): void {
    const remove = this.#states.add(listener);
    if (!this.#latest) return;
    const now = new Listeners<TicketState>();
    now.add(listener);
    now.emit(this.#latest);
    if (this.#isOver) remove();
  }

  async cancel(): Promise<void> {
    const { id } = this;
    if (this.#isOver) return;
    const state = await ask(this.#connection, CANCEL, { id }, { end: Date.now() + PATIENCE });
    if (isState(state)) this.#take(state, true);
  }

  #subscribe(state: TicketState | undefined): void {
    const { client, config } = this.#connection;
    if (!client || this.#isOver) return;
    const { channel, token } = this.#ticket;
    const name = channel.includes(`:${config.prefix}`) ? channel : onServer(channel, config.prefix);
    const subscription = (this.#subscription = client.newSubscription(name, {
      token,
      // Of all that is kept.
      since: { offset: 0, epoch: "" },
      getToken: async () => {
        try {
          const answer = await this.#question();
          return isRecord(answer) ? (answer["token"] as string) : "";
        } catch (error) {
          if ((error as Partial<RpcError>).temporary) throw error;
          return "";
        }
      },
    }));
    let known = state;
    subscription.on("subscribed", (context) => {
      this.#subscribed(subscription, context, known);
      known = undefined;
    });
    subscription.on("publication", ({ data, info }: PublicationContext) => {
      const body = isRecord(data) ? data["data"] : undefined;
      // Pages can't publish here; nothing is believed that one has.
      if (info || !isState(body)) return;
      if (this.#waiting) this.#waiting.push(body);
      else this.#take(body);
    });
    subscription.subscribe();
  }

  #subscribed(subscription: Subscription, { wasRecovering, recovered }: SubscribedContext, known: TicketState | undefined): void {
    if (!wasRecovering || !recovered) {
      this.#isUnsure = true;
      void this.#ask();
      return;
    }
    const before = known ?? (this.#isAnswer ? this.#latest : undefined);
    const waiting = before && !this.#waiting ? (this.#waiting = []) : undefined;
    // The SDK delivers what was published before in this task.
    queueMicrotask(() => {
      // A server that was restarted has nothing either.
      const isNothing = known ? waiting?.length === 0 : !this.#latest;
      if (before && waiting && this.#waiting === waiting) this.#merge(before, known ? "kept" : "later");
      const state: string = subscription.state;
      if (!isNothing || this.#waiting || state !== "subscribed") return;
      this.#isUnsure = true;
      void this.#ask();
    });
  }

  /**
   * Takes a state that Django has answered, and those that have arrived meanwhile and come after it.
   *
   * If it is not among them they are all later; or, if they are what the channel keeps, later or earlier, and Django
   * is asked once more.
   */
  #merge(answer: TicketState, arrived: "kept" | "later"): void {
    const waiting = this.#waiting ?? [];
    this.#waiting = undefined;
    const at = waiting.map((state) => isSame(state, answer)).lastIndexOf(true);
    const last = waiting.at(-1);
    if (at < 0 && last && arrived === "kept") {
      this.#take(rank(last) > rank(answer) ? last : answer, true);
      this.#isUnsure = true;
      void this.#ask();
      return;
    }
    this.#take(answer, true);
    for (const state of waiting.slice(at + 1)) if (at >= 0 || rank(state) >= rank(answer)) this.#take(state);
  }

  #take(state: TicketState, isAnswer = false): void {
    if (this.#isOver || isSame(state, this.#latest)) return;
    this.#latest = state;
    this.#isAnswer = isAnswer;
    this.#isOver = rank(state) === RANKS.done;
    this.#states.emit(state);
    if (!this.#isOver) return;
    // Django keeps the answer of a request until somebody has seen it. It is no trouble if it isn't told.
    if (KEPT.includes(this.#method)) this.#question({ seen: true }).catch(() => undefined);
    if (state.state === "done") this.#settle.resolve(state.result);
    else {
      const { code = CANCELLED, message = state.state } = state.error ?? {};
      this.#settle.reject(rpcError(this.#method, { code, message }));
    }
    this.#close();
  }

  #close(): void {
    this.#isOver = true;
    this.#stop();
    this.#subscription?.removeAllListeners();
    this.#connection.client?.removeSubscription(this.#subscription ?? null);
    this.#subscription = undefined;
    this.#closed();
  }

  /** A method, because it changes while something is awaited. */
  #hasEnded(): boolean {
    return this.#isOver;
  }

  #question(more?: object): Promise<unknown> {
    return ask(this.#connection, TICKET, { id: this.id, ...more }, { end: Date.now() + PATIENCE, wakes: false });
  }

  /** Asks Django for the state: one question at a time, and another one if it was asked again meanwhile. */
  #ask(): Promise<void> {
    this.#isAskedAgain = true;
    return (this.#asking ??= this.#askAll().finally(() => {
      this.#asking = undefined;
    }));
  }

  async #askAll(): Promise<void> {
    while (this.#isAskedAgain && !this.#hasEnded()) {
      this.#isAskedAgain = false;
      await this.#askOnce();
    }
  }

  /** States that arrive before the answer wait for it. */
  async #askOnce(): Promise<void> {
    const waiting = (this.#waiting ??= []);
    try {
      const answer = await this.#question();
      const state = isRecord(answer) ? answer["ticket"] : undefined;
      this.#isUnsure = false;
      if (this.#waiting === waiting && isState(state)) this.#merge(state, "later");
    } catch (error) {
      if (this.#hasEnded()) return;
      if (!(error as Partial<RpcError>).temporary) {
        this.#settle.reject(error as Error);
        this.#close();
      }
    } finally {
      if (this.#waiting === waiting) {
        this.#waiting = undefined;
        for (const state of waiting) this.#take(state);
      }
    }
  }

  /** Asks now and then while no messages arrive, or where an answer is missing. */
  async #poll(): Promise<void> {
    for (let wait = POLL_FROM; !this.#isOver; wait = Math.min(wait * 2, POLL_TO)) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, wait);
        this.#stop = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      if (this.#hasEnded()) return;
      if (!this.#subscription) this.#subscribe(undefined);
      const state: string | undefined = this.#subscription?.state;
      if (state === "subscribed" && !this.#isUnsure) wait = POLL_FROM / 2;
      else if (!this.#waiting) await this.#ask();
    }
  }
}

function isState(value: unknown): value is TicketState {
  return isRecord(value) && typeof value["state"] === "string" && value["state"] in RANKS;
}
