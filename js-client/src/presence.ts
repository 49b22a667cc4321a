import type { ClientInfo } from "centrifuge";

import type { Listeners } from "./listeners.js";
import type { Person, Presence } from "./types.js";

/** One connection, in the words of the SDK or of Django. */
export type Visitor = Pick<ClientInfo, "user" | "connInfo" | "chanInfo"> & { readonly info?: unknown };

/** The connections to a channel, by their ids. */
export interface Visitors {
  readonly clients: Readonly<Record<string, Visitor>>;
}

/** Connections, put together by user; everybody who is not signed in is one. */
export function byUser(visitors: Iterable<Visitor>): Map<string, Person> {
  const people = new Map<string, Person>();
  for (const { user, connInfo, chanInfo, info = (chanInfo ?? connInfo) as unknown } of visitors) {
    people.set(user, { user, connections: (people.get(user)?.connections ?? 0) + 1, info });
  }
  return people;
}

function without(people: ReadonlyMap<string, Person>, others: ReadonlyMap<string, Person>): Person[] {
  return [...people.values()].filter(({ user }) => !others.has(user));
}

type Change = readonly [info: ClientInfo, isHere: boolean];

/** Who is in a channel, kept up to date by what the server says about joins and leaves. */
export class Crowd {
  readonly #listeners: Listeners<Presence>;
  #visitors = new Map<string, Visitor>();
  #people: ReadonlyMap<string, Person> = new Map();
  /** What was said while the list was on its way. */
  #late: Change[] | undefined;

  constructor(listeners: Listeners<Presence>) {
    this.#listeners = listeners;
  }

  /** Takes a list of everybody, because joins and leaves were missed or somebody new wants to know. */
  async load(asked: Promise<Visitors>): Promise<void> {
    const late: Change[] = (this.#late = []);
    const { clients } = await asked;
    if (this.#late !== late) return;
    this.#visitors = new Map(Object.entries(clients));
    this.#late = undefined;
    for (const [info, isHere] of late) this.#apply(info, isHere);
    this.#show();
  }

  change(info: ClientInfo, isHere: boolean): void {
    if (this.#late) {
      this.#late.push([info, isHere]);
      return;
    }
    this.#apply(info, isHere);
    this.#show();
  }

  #apply(info: ClientInfo, isHere: boolean): void {
    if (isHere) this.#visitors.set(info.client, info);
    else this.#visitors.delete(info.client);
  }

  #show(): void {
    const before = this.#people;
    const people = (this.#people = byUser(this.#visitors.values()));
    this.#listeners.emit({
      people: [...people.values()],
      joined: without(people, before),
      left: without(before, people),
    });
  }
}
