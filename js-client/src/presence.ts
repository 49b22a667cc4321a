import type { ClientInfo, Subscription } from "centrifuge";

import type { Listeners } from "./listeners.js";
import type { Person, Presence } from "./types.js";

/** Connections, put together by user; everybody who is not signed in is one. */
export function byUser(clients: Iterable<ClientInfo>): Map<string, Person> {
  const people = new Map<string, Person>();
  for (const { user, connInfo, chanInfo } of clients) {
    people.set(user, {
      user,
      connections: (people.get(user)?.connections ?? 0) + 1,
      info: (chanInfo ?? connInfo) as unknown,
    });
  }
  return people;
}

type Change = readonly [info: ClientInfo, isHere: boolean];

/** Who is in a channel, kept up to date by what the server says about joins and leaves. */
export class Crowd {
  readonly #listeners: Listeners<Presence>;
  readonly #failed: (error: unknown) => void;
  #clients = new Map<string, ClientInfo>();
  #people: ReadonlyMap<string, Person> = new Map();
  /** What was said while the list was on its way. */
  #late: Change[] | undefined;

  constructor(listeners: Listeners<Presence>, failed: (error: unknown) => void) {
    this.#listeners = listeners;
    this.#failed = failed;
  }

  /** Asks for everybody, because joins and leaves were missed or somebody new wants to know. */
  async load(subscription: Subscription): Promise<void> {
    const late: Change[] = (this.#late = []);
    try {
      const { clients } = await subscription.presence();
      if (this.#late !== late) return;
      this.#clients = new Map(Object.entries(clients));
      this.#late = undefined;
      for (const [info, isHere] of late) this.#apply(info, isHere);
      this.#show();
    } catch (error) {
      if (this.#late === late) this.#failed(error);
    }
  }

  change(info: ClientInfo, isHere: boolean): void {
    if (this.#late !== undefined) {
      this.#late.push([info, isHere]);
      return;
    }
    this.#apply(info, isHere);
    this.#show();
  }

  #apply(info: ClientInfo, isHere: boolean): void {
    if (isHere) this.#clients.set(info.client, info);
    else this.#clients.delete(info.client);
  }

  #show(): void {
    const before = this.#people;
    const people = (this.#people = byUser(this.#clients.values()));
    this.#listeners.emit({
      people: [...people.values()],
      joined: [...people.values()].filter(({ user }) => !before.has(user)),
      left: [...before.values()].filter(({ user }) => !people.has(user)),
    });
  }
}
