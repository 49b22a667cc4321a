import type { ClientInfo } from "centrifuge";

import type { Connection } from "../connection.js";
import type { Feed, Move } from "../feed.js";
import type { Person } from "../types.js";
import { orDjango } from "./or-django.js";

/** One client in a channel, as the SDK or Django describes it. */
type PresentClient = Pick<ClientInfo, "user" | "connInfo" | "chanInfo"> & { readonly info?: unknown };

/** All clients in a channel, by their ids. */
interface Answer {
  readonly clients: Readonly<Record<string, PresentClient>>;
}

/** Who Python is where it listens: nobody who is there. */
const LISTENER = "instant:listener";

/** Groups clients by user, named without `prefix`. All who are not signed in are one person with the id `""`. */
function byUser(clients: Iterable<PresentClient>, prefix: string): Map<string, Person> {
  const people = new Map<string, Person>();
  for (const { user: id, connInfo, chanInfo, info = (chanInfo ?? connInfo) as unknown } of clients) {
    const user = id.replace(prefix, "");
    if (user === LISTENER) continue;
    people.set(user, { user, connections: (people.get(user)?.connections ?? 0) + 1, info });
  }
  return people;
}

function ask({ django }: Connection, feed: Feed): Promise<Answer> {
  return feed.call((subscription) =>
    orDjango<Answer>(subscription.presence(), async () => {
      const { body } = await django.post("presence", { channel: subscription.channel });
      return body as unknown as Answer;
    }),
  );
}

/** See `Channel.presence()`. */
export async function presence(connection: Connection, feed: Feed): Promise<Person[]> {
  const { clients } = await ask(connection, feed);
  return [...byUser(Object.values(clients), connection.config.prefix).values()];
}

function without(people: ReadonlyMap<string, Person>, others: ReadonlyMap<string, Person>): Person[] {
  return [...people.values()].filter(({ user }) => !others.has(user));
}

/** The people in a channel, kept up to date from joins and leaves. */
class People {
  readonly #connection: Connection;
  readonly #feed: Feed;
  /** `undefined` while unknown. */
  #clients: Map<string, PresentClient> | undefined;
  #people: ReadonlyMap<string, Person> = new Map();
  /** Joins and leaves that arrived while the list was being loaded; `undefined` at other times. */
  #late: Move[] | undefined;
  #wasJoined: boolean;

  constructor(connection: Connection, feed: Feed) {
    this.#connection = connection;
    this.#feed = feed;
    this.#wasJoined = feed.isJoined;
    feed.moves.add((move) => {
      if (this.#late) this.#late.push(move);
      else if (this.#clients) this.#show(this.#clients, [move]);
      else this.load();
    });
    feed.statuses.add(() => {
      const { isJoined } = feed;
      if (isJoined && !this.#wasJoined) this.load();
      this.#wasJoined = isJoined;
    });
  }

  /** Asks for the list: after missed joins and leaves, and for a new listener. */
  load(): void {
    if (!this.#feed.hearsJoins || !this.#feed.isJoined) return;
    this.#load().catch((error: unknown) => {
      this.#feed.failed(error);
    });
  }

  async #load(): Promise<void> {
    const late: Move[] = (this.#late = []);
    this.#clients = undefined;
    try {
      const { clients } = await ask(this.#connection, this.#feed);
      if (this.#late === late) this.#show(new Map(Object.entries(clients)), late);
    } finally {
      if (this.#late === late) this.#late = undefined;
    }
  }

  #show(clients: Map<string, PresentClient>, moves: readonly Move[]): void {
    for (const { info, isHere } of moves) {
      if (isHere) clients.set(info.client, info);
      else clients.delete(info.client);
    }
    this.#clients = clients;
    const before = this.#people;
    const people = (this.#people = byUser(clients.values(), this.#connection.config.prefix));
    this.#feed.presences.emit({
      people: [...people.values()],
      joined: without(people, before),
      left: without(before, people),
    });
  }
}

const known = new WeakMap<Feed, People>();

/** Lets the listeners of the channel's presence know who is there, and who comes and goes. */
export function watchPresence(connection: Connection, feed: Feed): void {
  const people = known.get(feed) ?? new People(connection, feed);
  known.set(feed, people);
  people.load();
}
