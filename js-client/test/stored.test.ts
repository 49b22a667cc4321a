/** Stored messages: delivered when the page comes, and acknowledged when it has dealt with them. */
import { expect, test, vi } from "vitest";

import type { Instant } from "../src/instant.js";
import { pause } from "../src/stored/pause.js";
import { Inbox, soon, useSite } from "./site.js";

const site = useSite();

function store(...texts: string[]): void {
  for (const message of texts) {
    const position = site.django.stored.length + 1;
    site.django.stored.push({ channel: "public", position, payload: { id: `id-${message}`, message } as { id: string } });
  }
}

const acknowledged = (): unknown[] =>
  site.django.seen.filter(({ view }) => view === "messages/acknowledge").map(({ body }) => body["ids"]);

test("what waited comes first, page by page, then what arrives, each once; all of it is acknowledged", async () => {
  store("1", "2", "3", "4", "5");
  site.django.messagesAtOnce = 2;
  const inbox = new Inbox();
  const room = site.instant().channel("public");
  room.on("*", inbox.add, { ack: true });
  await inbox.holds("1", "2", "3", "4", "5");
  expect(inbox.messages.every(({ recovered, channel }) => recovered && channel === "public")).toBe(true);
  site.centrifugo.publish("public", { id: "id-5", message: "5" });
  site.centrifugo.publish("public", { id: "id-6", message: "6" });
  await inbox.holds("1", "2", "3", "4", "5", "6");
  await soon(() => {
    expect(acknowledged().flat().sort()).toEqual(["id-1", "id-2", "id-3", "id-4", "id-5", "id-6"]);
  });
  // Together at best; where time passes in between, a request for each of the three pages, and for what came then.
  expect(acknowledged().length).toBeLessThanOrEqual(4);
});

test("what arrives while the others are read comes behind them", async () => {
  store("1");
  let open = (): void => undefined;
  const inbox = new Inbox();
  const instant = site.instant();
  const room = instant.channel("public");
  await room.subscribed();
  site.django.gate = new Promise((resolve) => {
    open = resolve;
  });
  room.on("*", inbox.add, { ack: true });
  await soon(() => {
    expect(site.django.views()).toContain("messages/outstanding");
  });
  site.centrifugo.publish("public", { id: "id-2", message: "2" });
  const other = new Inbox();
  room.on("*", other.add);
  site.centrifugo.publish("public", { id: "id-3", message: "3" });
  await other.holds("2", "3");
  expect(inbox.texts).toEqual([]);
  open();
  await inbox.holds("1", "2", "3");
});

test("a message is acknowledged after the listener's promise, and comes again if that is rejected", async () => {
  store("good", "bad");
  const failures: unknown[] = [];
  const catchIt = (error: unknown): void => {
    failures.push(error);
  };
  process.on("uncaughtException", catchIt);
  const before = process.listeners("uncaughtException").filter((one) => one !== catchIt);
  for (const one of before) process.off("uncaughtException", one);
  try {
    let finish = (): void => undefined;
    const seen: string[] = [];
    const room = site.instant().channel("public");
    room.on(
      "*",
      async ({ message }) => {
        seen.push(message);
        if (message === "bad") throw new Error("not now");
        await new Promise<void>((resolve) => {
          finish = resolve;
        });
      },
      { ack: true },
    );
    await soon(() => {
      expect([seen, failures]).toEqual([["good", "bad"], [new Error("not now")]]);
    });
    expect(acknowledged()).toEqual([]);
    finish();
    await soon(() => {
      expect(acknowledged()).toEqual([["id-good"]]);
    });
    site.centrifugo.cut();
    await soon(() => {
      expect(seen).toEqual(["good", "bad", "bad"]);
    });
  } finally {
    process.off("uncaughtException", catchIt);
    for (const one of before) process.on("uncaughtException", one);
  }
});

test("a listener takes its class only; another that is added later gets the rest", async () => {
  site.django.stored.push({ channel: "public", position: 1, payload: { id: "a", event_class: "a", message: "A" } as { id: string } });
  site.django.stored.push({ channel: "public", position: 2, payload: { id: "b", event_class: "b", message: "B" } as { id: string } });
  const [a, b] = [new Inbox(), new Inbox()];
  const room = site.instant().channel("public");
  room.on("a", a.add, { ack: true });
  await soon(() => {
    expect(acknowledged()).toEqual([["a"]]);
  });
  const off = room.on("b", b.add, { ack: true });
  await b.holds("B");
  await soon(() => {
    expect(acknowledged()).toEqual([["a"], ["b"]]);
  });
  expect(a.texts).toEqual(["A"]);
  off();
  room.leave();
});

test("Django is asked again when it was away, and new messages don't wait for it", async () => {
  store("old");
  const inbox = new Inbox();
  const errors: unknown[] = [];
  const instant = site.instant();
  instant.on("error", (error) => errors.push(error));
  const room = instant.channel("public");
  await room.subscribed();
  site.django.instead.push({ status: 503, body: { error: "away" } });
  room.on("*", inbox.add, { ack: true });
  await inbox.holds("old");
  expect(errors).toHaveLength(1);
  site.django.instead.push({ status: 503, body: { error: "away" } });
  site.centrifugo.publish("public", { id: "new", message: "new" });
  await soon(() => {
    expect(acknowledged().flat()).toContain("new");
  });
});

/** A Django that doesn't answer one of its addresses. */
class Away {
  tries = 0;
  isAway = true;

  /** Sees it tried again and again, and no more after disconnect(). Returns how often it was. */
  async isLeftAlone(instant: Instant): Promise<number> {
    await soon(() => {
      expect(this.tries).toBeGreaterThan(2);
    });
    instant.disconnect();
    await pause(50); // an attempt may be on its way
    const before = this.tries;
    await pause(300); // over ten attempts otherwise
    expect(this.tries).toBe(before);
    return before;
  }
}

function away(address: string): Away {
  const found = new Away();
  const real = fetch;
  vi.stubGlobal("fetch", (...[to, options]: Parameters<typeof fetch>) => {
    if (!(to as string).endsWith(address)) return real(to, options);
    found.tries += 1;
    return found.isAway ? Promise.reject(new TypeError("away")) : real(to, options);
  });
  return found;
}

test("after disconnect() nothing is tried again, and what was not acknowledged is with the next connection", async () => {
  store("1");
  const inbox = new Inbox();
  const instant = site.instant();
  const room = instant.channel("public");
  const django = away("/acknowledge/");
  room.on("*", inbox.add, { ack: true });
  await inbox.holds("1");
  const before = await django.isLeftAlone(instant);
  const more = room.acknowledge(["id-2"]); // who asks for more gets one more attempt
  await soon(() => {
    expect(django.tries).toBe(before + 1);
  });
  django.isAway = false;
  await instant.connect();
  await more;
  expect(acknowledged()).toEqual([["id-1", "id-2"]]);
});

test("after disconnect() what waits is asked for with the next connection", async () => {
  store("1");
  const inbox = new Inbox();
  const instant = site.instant();
  const django = away("/outstanding/");
  instant.channel("public").on("*", inbox.add, { ack: true });
  await django.isLeftAlone(instant);
  django.isAway = false;
  await instant.connect();
  await inbox.holds("1");
});

test("after a gap what waits is read again, and the channel is lost until then", async () => {
  const inbox = new Inbox();
  const room = site.instant().channel("public");
  const statuses: string[] = [];
  room.onStatus((status) => statuses.push(status));
  room.on("*", inbox.add, { ack: true });
  await soon(() => {
    expect(site.django.views()).toContain("messages/outstanding");
  });
  store("missed");
  site.centrifugo.publish("public", { event_class: "instant:lost", site: "x" });
  await inbox.holds("missed");
  await soon(() => {
    expect(statuses.slice(-2)).toEqual(["lost", "live"]);
  });
});

test("outstanding() and acknowledge() do both without a listener", async () => {
  store(...Array.from({ length: 7 }, (_, n) => String(n)));
  site.django.messagesAtOnce = 3;
  const room = site.instant().channel("public");
  await room.subscribed();
  expect((await room.outstanding({ limit: 5 })).map(({ message }) => message)).toEqual(["0", "1", "2", "3", "4"]);
  await room.acknowledge(["id-0", "id-6"]);
  expect((await room.outstanding()).map(({ id }) => id)).toEqual(["id-1", "id-2", "id-3", "id-4", "id-5"]);
  site.django.rights.set("", []);
  await expect(room.outstanding()).rejects.toMatchObject({ name: "RefusedError" });
});

test("another user gets what the one before has had, and acknowledges it", async () => {
  site.django.rights.set("anna", ["public"]);
  store("1");
  const inbox = new Inbox();
  const instant = site.instant();
  instant.channel("public").on("*", inbox.add, { ack: true });
  await inbox.holds("1");
  await soon(() => {
    expect(acknowledged()).toEqual([["id-1"]]);
  });
  // The same user is not told again after another connection.
  site.centrifugo.cut();
  store("1", "2");
  await inbox.holds("1", "2");
  await soon(() => {
    expect(acknowledged().flat()).toContain("id-2");
  });
  site.django.stored = [];
  store("1");
  await instant.login("anna", "secret-of-anna");
  await inbox.holds("1", "2", "1");
  await soon(() => {
    expect(acknowledged().flat().filter((id) => id === "id-1")).toHaveLength(2);
  });
});

test("two tabs of a user acknowledge once", async () => {
  vi.stubGlobal("document", { cookie: "", addEventListener: () => undefined, querySelectorAll: () => [] });
  vi.stubGlobal("addEventListener", () => undefined);
  let turn = Promise.resolve();
  const request = (_name: string, run: () => Promise<void>): Promise<void> => (turn = turn.then(run));
  vi.stubGlobal("navigator", { locks: { request } });
  const inboxes = [new Inbox(), new Inbox()];
  const rooms = inboxes.map((inbox) => {
    const room = site.instant().channel("public");
    room.on("*", inbox.add, { ack: true });
    return room;
  });
  await Promise.all(rooms.map((room) => room.subscribed()));
  await soon(() => {
    expect(site.django.views().filter((view) => view === "messages/outstanding")).toHaveLength(2);
  });
  site.centrifugo.publish("public", { id: "x", message: "x" });
  await Promise.all(inboxes.map((inbox) => inbox.holds("x")));
  await soon(() => {
    expect(acknowledged()).toEqual([["x"]]);
  });
  // The other tab's turn has come and gone when this is sent.
  site.centrifugo.publish("public", { id: "y", message: "y" });
  await soon(() => {
    expect(acknowledged()).toEqual([["x"], ["y"]]);
  });
});
