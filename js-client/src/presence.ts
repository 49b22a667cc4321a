import type { ClientInfo } from "centrifuge";

import { Listeners } from "./listeners.js";
import type { Person, Presence } from "./types.js";

/** One client in a channel, as the SDK or Django describes it. */
export type PresentClient = Pick<ClientInfo, "user" | "connInfo" | "chanInfo"> & { readonly info?: unknown };

/** All clients in a channel, by their ids. */
export interface PresenceAnswer {
  readonly clients: Readonly<Record<string, PresentClient>>;
}

/** Who Python is where it listens: nobody who is there. */
const LISTENER = "instant:listener";

/** Groups clients by user, named without `prefix`. All who are not signed in are one person with the id `""`. */
export function byUser(clients: Iterable<PresentClient>, prefix: string): Map<string, Person> {
  const people = new Map<string, Person>();
  for (const { user: id, connInfo, chanInfo, info = (chanInfo ?? connInfo) as unknown } of clients) {
    const user = id.replace(prefix, "");
    if (user === LISTENER) continue;
    people.set(user, { user, connections: (people.get(user)?.connections ?? 0) + 1, info });
  }
  return people;
}

function without(people: ReadonlyMap<string, Person>, others: ReadonlyMap<string, Person>): Person[] {
  return [...people.values()].filter(({ user }) => !others.has(user));
}

type Change = readonly [info: ClientInfo, isHere: boolean];

/** The list of people in a channel, kept up to date from joins and leaves. Its listeners get each change. */
export class PresenceList extends Listeners<Presence> {
  /** What is left out of the names of users, see `Config`. */
  prefix = "";
  /** `undefined` while unknown. */
  #clients: Map<string, PresentClient> | undefined;
  #people: ReadonlyMap<string, Person> = new Map();
  /** Joins and leaves that arrived while the list was being loaded; `undefined` at other times. */
  #late: Change[] | undefined;

  /** Replaces the list by the one that `asked` resolves with: after missed joins and leaves, or for a new listener. */
  async load(asked: Promise<PresenceAnswer>): Promise<void> {
    const late: Change[] = (this.#late = []);
    this.#clients = undefined;
    try {
      const { clients } = await asked;
      if (this.#late === late) this.#show(new Map(Object.entries(clients)), late);
    } finally {
      if (this.#late === late) this.#late = undefined;
    }
  }

  /** Applies a join or leave. Returns false if the list is unknown and has to be loaded. */
  change(...change: Change): boolean {
    if (this.#late) this.#late.push(change);
    else if (this.#clients) this.#show(this.#clients, [change]);
    else return false;
    return true;
  }

  #show(clients: Map<string, PresentClient>, changes: readonly Change[]): void {
    for (const [info, isHere] of changes) {
      if (isHere) clients.set(info.client, info);
      else clients.delete(info.client);
    }
    this.#clients = clients;
    const before = this.#people;
    const people = (this.#people = byUser(clients.values(), this.prefix));
    this.emit({
      people: [...people.values()],
      joined: without(people, before),
      left: without(before, people),
    });
  }
}
