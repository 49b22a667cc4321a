/** `channel.state()`: a state and every message after it, each once and in order, whatever happens in between. */
import { describe, expect, test, vi } from "vitest";

import type { Instant } from "../src/instant.js";
import { pause } from "../src/stored/pause.js";
import type { InstantMessage, Snapshot, StateOptions } from "../src/types.js";
import { Inbox, soon, until, useSite } from "./site.js";

const site = useSite();
const NAME = "order:1";

/** What the database has: a number that every publication raises by one. */
let rows: Record<string, number> = {};

function database(...names: string[]): void {
  rows = Object.fromEntries(names.map((name) => [name, 0]));
  site.django.rights.set("", names);
  for (const name of names) site.django.states.set(name, () => read(name));
}

/** The state with its position, as Django reads it: the position first. */
function read(name = NAME): Snapshot<number> {
  const position = site.centrifugo.keepsHistory ? site.centrifugo.position(name) : { offset: 0, epoch: "" };
  return { ...position, data: rows[name] ?? NaN };
}

/** Commits, then publishes. */
function change(name = NAME): void {
  rows[name] = (rows[name] ?? 0) + 1;
  site.centrifugo.publish(name, { data: rows[name] });
}

/** Tells of messages that Django has lost. */
function lose(name = NAME): void {
  site.centrifugo.publish(name, { event_class: "instant:lost" });
}

/** Opens a page whose HTML has the states. */
function page(...elements: Record<string, Snapshot>[]): { attributes: number } {
  const left = { attributes: elements.length };
  let scripts = elements.map((states) => ({
    textContent: JSON.stringify(states),
    removeAttribute: () => {
      left.attributes -= 1;
      scripts = [];
    },
  }));
  const nothing = (): undefined => undefined;
  vi.stubGlobal("addEventListener", nothing);
  vi.stubGlobal("document", { cookie: "", addEventListener: nothing, querySelectorAll: () => scripts });
  return left;
}

/** What `state()` has drawn: numbers, and whether a message came with each. */
class Drawn {
  readonly states: number[] = [];
  readonly messages: (InstantMessage | undefined)[] = [];
  readonly statuses: string[] = [];
  readonly leave: () => void;

  constructor(instant: Instant, name = NAME, options?: StateOptions<number, unknown>) {
    const channel = instant.channel(name);
    channel.onStatus((status) => this.statuses.push(status));
    this.leave = () => {
      channel.leave();
    };
    channel.state<number>((state, message) => {
      this.states.push(state);
      this.messages.push(message);
    }, options);
  }

  async holds(...states: number[]): Promise<void> {
    await soon(() => {
      expect(this.states).toEqual(states);
    });
  }
}

/** Sums up what messages bring, so that one which comes twice or never shows. */
const sum = {
  reduce: (state: number) => state + 1,
};

function snapshots(): unknown[] {
  return site.django.seen.flatMap(({ view, body }) => (view === "snapshot" ? [body["channels"]] : []));
}

async function live(instant: Instant, name = NAME): Promise<void> {
  await soon(() => {
    expect(instant.channel(name).status).toBe("live");
  });
}

describe("from the page", () => {
  test("what was published between rendering and subscribing arrives once, and Django is not asked", async () => {
    database(NAME);
    change();
    const left = page({ [NAME]: read() });
    change();
    change();
    const instant = site.instant();
    const drawn = new Drawn(instant, NAME, sum);
    expect(drawn.states).toEqual([1]); // at once
    expect(left.attributes).toBe(0);
    await live(instant);
    change();
    await drawn.holds(1, 2, 3, 4);
    expect(drawn.messages.map((message) => message?.offset)).toEqual([undefined, 2, 3, 4]);
    expect(drawn.messages.map((message) => message?.recovered)).toEqual([undefined, true, true, false]);
    expect(snapshots()).toEqual([]);
    expect(drawn.statuses).toEqual(["subscribing", "live"]);
  });

  test("listeners of the channel get what the state has not, too", async () => {
    database(NAME);
    change();
    page({ [NAME]: read() });
    change();
    const instant = site.instant();
    const inbox: unknown[] = [];
    instant.channel(NAME).on("*", ({ data }) => inbox.push(data));
    const drawn = new Drawn(instant);
    await drawn.holds(1, 2);
    expect(inbox).toEqual([2]);
  });

  test("a page from a shared cache is refetched where the history does not reach back", async () => {
    database(NAME);
    change();
    page({ [NAME]: read() });
    site.centrifugo.forget();
    change();
    const instant = site.instant();
    const drawn = new Drawn(instant, NAME, sum);
    await drawn.holds(1, 2);
    expect(snapshots()).toEqual([[NAME]]);
    await soon(() => {
      expect(drawn.statuses).toEqual(["subscribing", "lost", "live"]);
    });
    change();
    await drawn.holds(1, 2, 3);
  });

  test("a channel that is live already, and ahead of the page, asks Django", async () => {
    database(NAME);
    page({ [NAME]: read() });
    const instant = site.instant();
    const inbox = new Inbox();
    instant.channel(NAME).on("*", inbox.add);
    await live(instant);
    change();
    await soon(() => {
      expect(inbox.messages).toHaveLength(1);
    });
    const drawn = new Drawn(instant, NAME, sum);
    await drawn.holds(1);
    change();
    await drawn.holds(1, 2);
  });

  test("a fragment that htmx or Turbo puts in goes on from its own state", async () => {
    database(NAME);
    page({ [NAME]: read() });
    const instant = site.instant();
    const first = new Drawn(instant, NAME, { ...sum, key: "order" });
    await live(instant);
    change();
    await first.holds(0, 1);
    page({ [NAME]: read() });
    const second = new Drawn(instant, NAME, { ...sum, key: "order" });
    change();
    await second.holds(1, 2);
    expect(first.states).toEqual([0, 1]); // replaced by its key
    expect(snapshots()).toEqual([]);
  });

  test("a fragment that is ahead of the connection leaves out what it has", async () => {
    database(NAME);
    page({ [NAME]: read() });
    const instant = site.instant();
    const first = new Drawn(instant, NAME, sum);
    await live(instant);
    rows[NAME] = 1;
    page({ [NAME]: { data: 1, offset: 1, epoch: "first" } });
    const second = new Drawn(instant, NAME, sum);
    site.centrifugo.publish(NAME, {});
    await first.holds(0, 1);
    expect(second.states).toEqual([1]);
    change();
    await second.holds(1, 2);
  });

  test("two widgets share the page's state", async () => {
    database(NAME);
    change();
    page({ [NAME]: read() });
    change();
    const instant = site.instant();
    const [one, two] = [new Drawn(instant, NAME, sum), new Drawn(instant, NAME, sum)];
    await one.holds(1, 2);
    await two.holds(1, 2);
    expect(snapshots()).toEqual([]);
  });

  test("a channel that is left and joined again asks Django", async () => {
    database(NAME);
    page({ [NAME]: read() });
    const instant = site.instant();
    const drawn = new Drawn(instant, NAME, sum);
    await live(instant);
    drawn.leave();
    await soon(() => {
      expect(site.centrifugo.subscribed).toEqual([]);
    });
    change();
    const again = new Drawn(instant, NAME, sum);
    await again.holds(1);
  });
});

describe("from Django", () => {
  test("without a state in the page it is asked for, at once and beside the connection", async () => {
    database(NAME);
    change();
    const instant = site.instant();
    const drawn = new Drawn(instant, NAME, sum);
    await drawn.holds(1);
    await live(instant);
    change();
    await drawn.holds(1, 2);
    expect(snapshots()).toEqual([[NAME]]);
  });

  test("many channels are one request", async () => {
    const names = ["order:1", "order:2", "order:3"];
    database(...names);
    const instant = site.instant();
    const drawn = names.map((name) => new Drawn(instant, name));
    for (const one of drawn) await one.holds(0);
    expect(snapshots()).toEqual([names]);
  });

  test("more than a hundred are several requests", async () => {
    const names = Array.from({ length: 101 }, (_, number) => `order:${number.toString()}`);
    database(...names);
    const instant = site.instant();
    const drawn = names.map((name) => new Drawn(instant, name));
    for (const one of drawn) await one.holds(0);
    expect((snapshots() as string[][]).map((some) => some.length)).toEqual([100, 1]);
  });

  test("messages that arrive while it is on its way wait, and none comes twice", async () => {
    database(NAME);
    const instant = site.instant();
    const inbox = new Inbox();
    instant.channel(NAME).on("*", inbox.add);
    await live(instant);
    let open = (): void => undefined;
    site.django.gate = new Promise((resolve) => (open = resolve));
    const drawn = new Drawn(instant, NAME, sum);
    change(); // is in the state
    await soon(() => {
      expect(snapshots()).toHaveLength(1);
    });
    change(); // is not
    change();
    await soon(() => {
      expect(inbox.messages).toHaveLength(3);
    });
    expect(drawn.states).toEqual([]);
    open();
    await drawn.holds(1, 2, 3);
    change();
    await drawn.holds(1, 2, 3, 4);
  });

  test("what is published between the state and the subscription is not lost", async () => {
    database(NAME);
    let open = (): void => undefined;
    const instant = site.instant();
    const drawn = new Drawn(instant, NAME, sum);
    await soon(() => {
      expect(snapshots()).toHaveLength(1);
    });
    await drawn.holds(0);
    // The page has its state, and no subscription yet.
    site.django.gate = new Promise((resolve) => (open = resolve));
    if (site.centrifugo.subscribed.length === 0) change();
    open();
    await live(instant);
    await soon(() => {
      expect(drawn.states.at(-1)).toBe(rows[NAME]);
    });
  });

  test("it is asked again until it answers", async () => {
    database(NAME);
    const instant = site.instant();
    const errors: string[] = [];
    instant.on("error", ({ name }) => errors.push(name));
    const inbox = new Inbox();
    instant.channel(NAME).on("*", inbox.add);
    await live(instant);
    site.django.instead.push({ status: 503, body: { error: "down" } }, { status: 500, body: "<html>" });
    site.django.unknown.add(NAME);
    const drawn = new Drawn(instant, NAME, sum);
    change();
    await soon(() => {
      expect(errors.length).toBeGreaterThan(2);
    });
    site.django.unknown.clear();
    await drawn.holds(1);
    expect(new Set(errors)).toEqual(new Set(["ReplyError"]));
    change();
    await drawn.holds(1, 2);
  });

  test("after disconnect() it is asked again with the next connection", async () => {
    database(NAME);
    const instant = site.instant();
    const errors: string[] = [];
    instant.on("error", ({ name }) => errors.push(name));
    const inbox = new Inbox();
    instant.channel(NAME).on("*", inbox.add);
    await live(instant);
    site.django.unknown.add(NAME);
    const drawn = new Drawn(instant, NAME, sum);
    await soon(() => {
      expect(errors.length).toBeGreaterThan(2);
    });
    instant.disconnect();
    await pause(50); // an attempt may be on its way
    const before = snapshots().length;
    await pause(300); // over ten attempts otherwise
    expect(snapshots()).toHaveLength(before);
    site.django.unknown.clear();
    await instant.connect();
    await drawn.holds(0);
  });

  test("a refusal is told once and not repeated", async () => {
    const others = ["order:2", "order:3", "order:4"];
    database(NAME, ...others);
    site.django.states.delete(NAME);
    const instant = site.instant();
    const errors: string[] = [];
    const inbox = new Inbox();
    instant.on("error", (error) => errors.push(error.message));
    instant.channel(NAME).on("*", inbox.add);
    await live(instant);
    const drawn = new Drawn(instant);
    await soon(() => {
      expect(errors).toEqual([`${NAME}: no state`]);
    });
    change();
    await soon(() => {
      expect(inbox.messages).toHaveLength(1);
    });
    // Time goes by, in which it could have been asked again.
    for (const other of others) await new Drawn(instant, other).holds(0);
    expect(drawn.states).toEqual([]);
    expect(snapshots()).toEqual([[NAME], ...others.map((other) => [other])]);
    expect(errors).toHaveLength(1);
  });
});

describe("after a loss", () => {
  test("a broken connection goes on where it was", async () => {
    database(NAME);
    const instant = site.instant();
    const drawn = new Drawn(instant, NAME, sum);
    await live(instant);
    await drawn.holds(0);
    site.centrifugo.cut();
    change();
    change();
    await drawn.holds(0, 1, 2);
    expect(snapshots()).toHaveLength(1);
  });

  test("a history that is gone: lost, the state again, live", async () => {
    database(NAME);
    const instant = site.instant();
    const drawn = new Drawn(instant, NAME, sum);
    await live(instant);
    await drawn.holds(0);
    change();
    await drawn.holds(0, 1);
    site.centrifugo.forget();
    rows[NAME] = 5;
    site.centrifugo.cut();
    await drawn.holds(0, 1, 5);
    await soon(() => {
      expect(drawn.statuses).toEqual(["subscribing", "live", "subscribing", "lost", "live"]);
    });
    change();
    await drawn.holds(0, 1, 5, 6);
  });

  test("a history that is too short: the same", async () => {
    site.centrifugo.size = 1;
    database(NAME);
    page({ [NAME]: read() });
    change();
    change();
    const instant = site.instant();
    const drawn = new Drawn(instant, NAME, sum);
    const inbox = new Inbox();
    instant.channel(NAME).on("*", inbox.add);
    let open = (): void => undefined;
    instant.channel(NAME).onLost(() => {
      site.django.gate = new Promise((resolve) => (open = resolve));
      change(); // arrives before the state
    });
    await soon(() => {
      expect(inbox.messages).toHaveLength(1);
    });
    expect(drawn.states).toEqual([0]);
    open();
    await drawn.holds(0, 3);
    await live(instant);
    change();
    await drawn.holds(0, 3, 4);
    expect(drawn.statuses).toEqual(["subscribing", "lost", "live"]);
  });

  test("messages that arrive meanwhile wait for the state", async () => {
    database(NAME);
    const instant = site.instant();
    const drawn = new Drawn(instant, NAME, sum);
    await live(instant);
    await drawn.holds(0);
    site.centrifugo.forget();
    change();
    const inbox = new Inbox();
    instant.channel(NAME).on("*", inbox.add);
    instant.channel(NAME).onLost(() => {
      let open = (): void => undefined;
      site.django.gate = new Promise((resolve) => (open = resolve));
      change();
      void soon(() => {
        expect(inbox.messages).toHaveLength(1);
      }).then(open);
    });
    site.centrifugo.cut();
    await soon(() => {
      expect(drawn.states.at(-1)).toBe(2);
    });
    expect(drawn.states[0]).toBe(0);
    change();
    await soon(() => {
      expect(drawn.states.at(-1)).toBe(3);
    });
  });

  test("what arrives after Django told of a loss is not replaced by a state that was read before", async () => {
    database(NAME);
    const instant = site.instant();
    const drawn = new Drawn(instant, NAME, sum);
    await live(instant);
    await drawn.holds(0);
    rows[NAME] = 3; // and three messages were lost
    let open = (): void => undefined;
    site.django.gate = new Promise((resolve) => (open = resolve));
    lose();
    await soon(() => {
      expect(snapshots()).toHaveLength(2);
    });
    const inbox = new Inbox();
    instant.channel(NAME).on("*", inbox.add);
    change();
    await soon(() => {
      expect(inbox.messages).toHaveLength(1);
    });
    expect(drawn.states).toEqual([0]);
    open();
    await drawn.holds(0, 3, 4);
    await live(instant);
    change();
    await drawn.holds(0, 3, 4, 5);
    expect(snapshots()).toHaveLength(2);
  });

  test("a second loss, of which Django tells while it is asked, is asked about, too", async () => {
    database(NAME);
    const instant = site.instant();
    const drawn = new Drawn(instant, NAME, sum);
    await live(instant);
    await drawn.holds(0);
    let open = (): void => undefined;
    site.django.gate = new Promise((resolve) => (open = resolve));
    let losses = 0;
    instant.channel(NAME).onLost(() => void (losses += 1));
    rows[NAME] = 3;
    lose();
    await soon(() => {
      expect(snapshots()).toHaveLength(2);
    });
    rows[NAME] = 7;
    lose();
    await soon(() => {
      expect(losses).toBe(2);
    });
    open();
    await drawn.holds(0, 7);
    await live(instant);
    expect(snapshots()).toHaveLength(3);
  });

  test("messages go on where Django refuses the state after a loss", async () => {
    database(NAME);
    const instant = site.instant();
    const drawn = new Drawn(instant, NAME, sum);
    await live(instant);
    await drawn.holds(0);
    site.django.states.delete(NAME);
    let open = (): void => undefined;
    site.django.gate = new Promise((resolve) => (open = resolve));
    lose();
    await soon(() => {
      expect(snapshots()).toHaveLength(2);
    });
    change();
    open();
    await drawn.holds(0, 1);
    change();
    await drawn.holds(0, 1, 2);
  });

  test("a channel that keeps no messages asks after every connection", async () => {
    site.centrifugo.keepsHistory = false;
    database(NAME);
    page({ [NAME]: read() });
    const instant = site.instant();
    const drawn = new Drawn(instant);
    expect(drawn.states).toEqual([0]);
    rows[NAME] = 1;
    await drawn.holds(0, 1); // once it is live
    change();
    await drawn.holds(0, 1, 2);
    site.centrifugo.cut();
    rows[NAME] = 7;
    await soon(() => {
      expect(drawn.states).toEqual([0, 1, 2, 7]);
    });
    expect(drawn.statuses).not.toContain("lost");
    expect(snapshots()).toHaveLength(2);
  });

  test("the newest value alone: nothing comes twice", async () => {
    site.centrifugo.isLatest = true;
    database(NAME);
    change();
    const instant = site.instant();
    const drawn = new Drawn(instant, NAME, sum);
    await live(instant);
    await drawn.holds(1);
    site.centrifugo.cut();
    change();
    await drawn.holds(1, 2);
    expect(drawn.statuses).not.toContain("lost");
  });

  test("the newest value alone, of a server that was restarted", async () => {
    site.centrifugo.isLatest = true;
    database(NAME);
    change();
    change();
    const instant = site.instant();
    const drawn = new Drawn(instant);
    await live(instant);
    await drawn.holds(2);
    site.centrifugo.forget();
    site.centrifugo.cut();
    change(); // has an offset that the page has seen
    await soon(() => {
      expect(drawn.states.at(-1)).toBe(3);
    });
  });
});

test("data of a message is the new state, unless reduce says otherwise", async () => {
  database(NAME);
  const instant = site.instant();
  const drawn = new Drawn(instant);
  await drawn.holds(0);
  await live(instant);
  site.centrifugo.publish(NAME, { data: 9 });
  site.centrifugo.publish(NAME, { message: "nothing new" });
  await drawn.holds(0, 9, 9);
  expect(drawn.messages.at(-1)?.message).toBe("nothing new");
});

test("what render throws stops nothing", async () => {
  database(NAME);
  const instant = site.instant();
  const thrown: unknown[] = [];
  const listener = (error: unknown): void => void thrown.push(error);
  const before = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException");
  process.on("uncaughtException", listener);
  const states: number[] = [];
  instant.channel(NAME).state<number>((state) => {
    states.push(state);
    throw new Error(`drawing ${state.toString()}`);
  }, sum);
  await live(instant);
  change();
  change();
  await soon(() => {
    expect(states).toEqual([0, 1, 2]);
  });
  process.removeListener("uncaughtException", listener);
  for (const one of before) process.on("uncaughtException", one);
  expect(thrown).toHaveLength(3);
  expect(snapshots()).toHaveLength(1);
});

test("nothing is drawn after it was removed", async () => {
  database(NAME);
  const instant = site.instant();
  const controller = new AbortController();
  const drawn = new Drawn(instant, NAME, { signal: controller.signal });
  controller.abort();
  await until(instant, "live");
  await soon(() => {
    expect(snapshots()).toHaveLength(1);
  });
  change();
  const inbox = new Inbox();
  instant.channel(NAME).on("*", inbox.add);
  change();
  await soon(() => {
    expect(inbox.messages.length).toBeGreaterThan(0);
  });
  expect(drawn.states).toEqual([]);
  new Drawn(instant, NAME, { signal: controller.signal });
  expect(drawn.states).toEqual([]);
});

describe("subscribed()", () => {
  test("resolves when messages arrive", async () => {
    database(NAME);
    const instant = site.instant();
    const channel = instant.channel(NAME);
    await channel.subscribed();
    expect(channel.status).toBe("live");
    await channel.subscribed();
  });

  test("rejects for a channel that is denied, and for a page that is signed out", async () => {
    const instant = site.instant();
    await expect(instant.channel("secret").subscribed()).rejects.toMatchObject({ name: "ChannelError", channel: "secret", code: 103 });
    site.django.rights.clear();
    const other = site.instant();
    await expect(other.channel(NAME).subscribed()).rejects.toMatchObject({ name: "ChannelError", message: `${NAME}: signed-out` });
  });

  test("waits longer than a call does", async () => {
    database(NAME);
    site.centrifugo.refuses = true;
    const instant = site.instant({ timeout: 50 });
    const channel = instant.channel(NAME);
    const waiting = channel.subscribed();
    await expect(channel.history()).rejects.toMatchObject({ code: 1 });
    site.centrifugo.refuses = false;
    await waiting;
  });
});

/** Numbers from 0 to 1 that are the same each time (mulberry32). */
function dice(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

test.each(Array.from({ length: 40 }, (_, seed) => seed))("whatever happens in between, nothing is missing or doubled (%i)", async (seed) => {
  const roll = dice(seed);
  database(NAME);
  if (roll() < 0.6) page({ [NAME]: read() });
  const instant = site.instant();
  if (roll() < 0.3) instant.channel(NAME).on("*", () => undefined);
  const drawn: Drawn[] = [];
  let open = (): void => undefined;
  for (let step = 0; step < 25; step += 1) {
    const luck = roll();
    if (luck < 0.55) change();
    else if (luck < 0.65) site.centrifugo.cut();
    else if (luck < 0.7) {
      site.centrifugo.forget();
      site.centrifugo.cut();
    } else if (luck < 0.78 && drawn.length < 3) drawn.push(new Drawn(instant, NAME, sum));
    else if (luck < 0.83) {
      open();
      site.django.gate = new Promise((resolve) => (open = resolve));
    } else if (luck < 0.88) open();
    else if (luck < 0.91) site.django.instead.push({ status: 503, body: { error: "down" } });
    else await new Promise((resolve) => setTimeout(resolve, roll() * 30));
  }
  open();
  drawn.push(new Drawn(instant, NAME, sum));
  change();
  await soon(() => {
    expect(drawn.map(({ states }) => states.at(-1))).toEqual(drawn.map(() => rows[NAME]));
    expect(instant.channel(NAME).status).toBe("live");
  });
  change();
  await soon(() => {
    expect(drawn.map(({ states }) => states.at(-1))).toEqual(drawn.map(() => rows[NAME]));
  });
});
