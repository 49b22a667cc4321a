import type { ClientInfo } from "centrifuge";

import { Listeners } from "./listeners.js";
import type { Person, Presence } from "./types.js";

/** One connection, in the words of the SDK or of Django. */
export type PresentClient = Pick<ClientInfo, "user" | "connInfo" | "chanInfo"> & { readonly info?: unknown };

/** The connections to a channel, by their ids. */
export interface PresenceAnswer {
  readonly clients: Readonly<Record<string, PresentClient>>;
}

/** Connections, put together by user; everybody who is not signed in is one. */
export function byUser(clients: Iterable<PresentClient>): Map<string, Person> {
  const people = new Map<string, Person>();
  for (const { user, connInfo, chanInfo, info = (chanInfo ?? connInfo) as unknown } of clients) {
    people.set(user, { user, connections: (people.get(user)?.connections ?? 0) + 1, info });
  }
  return people;
}

function without(people: ReadonlyMap<string, Person>, others: ReadonlyMap<string, Person>): Person[] {
  return [...people.values()].filter(({ user }) => !others.has(user));
}

type Change = readonly [info: ClientInfo, isHere: boolean];

/** Who is in a channel, kept up to date by what the server says about joins and leaves; told to the listeners. */
export class PresenceList extends Listeners<Presence> {
  /** `undefined` while nobody knows. */
  #clients: Map<string, PresentClient> | undefined;
  #people: ReadonlyMap<string, Person> = new Map();
  /** What was said while the list was on its way. */
  #late: Change[] | undefined;

  /** Takes a list of everybody, because joins and leaves were missed or somebody new wants to know. */
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

  /** Somebody came or went. False where that says nothing, because nobody knows who was here: load it again. */
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
    const people = (this.#people = byUser(clients.values()));
    this.emit({
      people: [...people.values()],
      joined: without(people, before),
      left: without(before, people),
    });
  }
}
