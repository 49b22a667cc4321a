/** What a channel can do besides listening. */
import { describe, expect, test } from "vitest";

import { ChannelError } from "../src/errors.js";
import type { InstantMessage, Person, Presence } from "../src/types.js";
import { Inbox, soon, until, useSite } from "./site.js";

const site = useSite();

async function subscribed(...names: string[]): Promise<void> {
  await soon(() => {
    expect(site.centrifugo.subscribed).toEqual(names);
  });
}

describe("for await", () => {
  test("yields every message in order, also those that arrive while its body runs", async () => {
    const channel = site.instant().channel("public");
    const texts: string[] = [];
    const loop = (async () => {
      for await (const { message } of channel) {
        texts.push(message);
        if (message === "one") {
          site.centrifugo.publish("public", { message: "two" });
          site.centrifugo.publish("public", { message: "three" });
          await soon(() => {
            expect(site.centrifugo.subscribed).toEqual(["public"]);
          });
        }
        if (message === "three") break;
      }
    })();
    await subscribed("public");
    site.centrifugo.publish("public", { message: "one" });
    await loop;
    expect(texts).toEqual(["one", "two", "three"]);
    // The loop was the only listener.
    await subscribed();
  });

  test("ends with leave(), and with the signal of each()", async () => {
    const instant = site.instant();
    const [left, aborted] = [instant.channel("public"), instant.channel("public")];
    const controller = new AbortController();
    const ends: string[] = [];
    const first = (async () => {
      for await (const message of left) ends.push(message.message);
      ends.push("left");
    })();
    const second = (async () => {
      for await (const message of aborted.each("*", { signal: controller.signal })) ends.push(message.message);
      ends.push("aborted");
    })();
    await subscribed("public");
    left.leave();
    await first;
    controller.abort();
    await second;
    for await (const message of aborted.each("*", { signal: controller.signal })) ends.push(message.message);
    expect(ends).toEqual(["left", "aborted"]);
    await subscribed();
  });

  test("each() listens from the call on, not from the first next()", async () => {
    const channel = site.instant().channel("public");
    const messages = channel.each("*");
    await subscribed("public");
    site.centrifugo.publish("public", { message: "one" });
    site.centrifugo.publish("public", { message: "two" });
    const inbox = new Inbox();
    channel.on("*", inbox.add);
    site.centrifugo.publish("public", { message: "three" });
    await inbox.holds("one", "two", "three");
    const texts: string[] = [];
    for await (const { message } of messages) {
      texts.push(message);
      if (message === "three") break;
    }
    expect(texts).toEqual(["one", "two", "three"]);
    expect(await messages.next()).toEqual({ value: undefined, done: true });
  });

  test("return() from outside ends a pending next() at once, and throw() too", async () => {
    const channel = site.instant().channel("public");
    const [first, second] = [channel.each("*"), channel.each("*")];
    const pending = [first.next(), first.next(), second.next()];
    await subscribed("public");
    expect(await first.return()).toEqual({ value: undefined, done: true });
    await expect(second.throw(new Error("stop"))).rejects.toThrow("stop");
    expect(await Promise.all(pending)).toEqual(pending.map(() => ({ value: undefined, done: true })));
    await subscribed();
  });

  test("several next() at once get messages in their order", async () => {
    const messages = site.instant().channel("public").each("*");
    const three = [messages.next(), messages.next(), messages.next()];
    await subscribed("public");
    for (const message of ["one", "two", "three"]) site.centrifugo.publish("public", { message });
    expect((await Promise.all(three)).map(({ value }) => value?.message)).toEqual(["one", "two", "three"]);
    await messages.return();
  });

  test("each() yields messages of one event class", async () => {
    const channel = site.instant().channel("public");
    const loop = (async (): Promise<InstantMessage | undefined> => {
      for await (const message of channel.each("shipped")) return message;
      return undefined;
    })();
    await subscribed("public");
    site.centrifugo.publish("public", { message: "no", event_class: "packed" });
    site.centrifugo.publish("public", { message: "yes", event_class: "shipped" });
    expect((await loop)?.message).toBe("yes");
  });
});

describe("once", () => {
  test("resolves with the next message of the event class, and removes its listener", async () => {
    const channel = site.instant().channel("public");
    const next = channel.once("shipped");
    await subscribed("public");
    site.centrifugo.publish("public", { message: "no", event_class: "packed" });
    site.centrifugo.publish("public", { message: "yes", event_class: "shipped" });
    expect((await next).message).toBe("yes");
    await subscribed();
  });

  test("rejects when its signal aborts, before or after, and when the handle is left", async () => {
    const channel = site.instant().channel("public");
    const controller = new AbortController();
    const reason = new Error("navigated away");
    const aborted = channel.once("*", { signal: controller.signal });
    const left = channel.once("*");
    controller.abort(reason);
    await expect(aborted).rejects.toBe(reason);
    channel.leave();
    await expect(left).rejects.toBeInstanceOf(ChannelError);
    await expect(channel.once("*", { signal: controller.signal })).rejects.toBe(reason);
    expect(channel.status).toBe("subscribing");
  });
});

test("once() rejects if the channel is denied, also if it was denied before", async () => {
  const channel = site.instant().channel("$staff");
  channel.on("*", () => undefined);
  const denied = { name: "ChannelError", channel: "$staff", code: 103 };
  await expect(channel.once("*")).rejects.toMatchObject(denied);
  expect(channel.status).toBe("denied");
  await expect(channel.once("*")).rejects.toMatchObject(denied);
});

test("a call of a signed-out page rejects at once, and a pending one when the page is signed out", async () => {
  // With a timeout that the test would not outlive.
  const instant = site.instant({ timeout: 120_000 });
  const channel = instant.channel("public");
  const error = { name: "ChannelError", channel: "public", code: 103, message: expect.stringContaining("signed-out") as string };
  await instant.connect();
  await instant.logout();
  await expect(channel.publish({ message: "x" })).rejects.toMatchObject(error);
  await instant.connect();
  site.django.gate = new Promise(() => undefined);
  const pending = instant.channel("late").presence();
  const failed = expect(pending).rejects.toMatchObject({ ...error, channel: "late" });
  await soon(() => {
    expect(site.django.views().at(-1)).toBe("subscribe");
  });
  site.centrifugo.cut(3503);
  await failed;
});

describe("presence", () => {
  const ALL = ["anna", "ben", "instant:listener"];

  function people({ people: found }: Presence): string[] {
    return found.map(({ user, connections }) => `${user} ${connections.toString()}`).sort();
  }

  async function page(user: string): Promise<ReturnType<typeof site.instant>> {
    for (const name of ALL) site.django.rights.set(name, ["room"]);
    const before = site.django.user;
    site.django.user = user;
    const instant = site.instant();
    await instant.connect();
    site.django.user = before;
    return instant;
  }

  async function enter(user: string): Promise<ReturnType<typeof site.instant>> {
    const instant = await page(user);
    site.django.user = user;
    const channel = instant.channel("room");
    channel.on("*", () => undefined);
    await soon(() => {
      expect(channel.status).toBe("live");
    });
    return instant;
  }

  test("is reported by user, with joins and leaves", async () => {
    await enter("anna");
    const watcher = await page("ben");
    site.django.user = "ben";
    const told: Presence[] = [];
    const last = (): Presence => told.at(-1) ?? { people: [], joined: [], left: [] };
    watcher.channel("room").onPresence((presence) => told.push(presence));
    await soon(() => {
      expect(people(last())).toEqual(["anna 1", "ben 1"]);
    });
    const first = told[0];
    expect(first?.people[0]).toEqual({ user: "anna", connections: 1, info: { name: "anna" } });
    expect(told.flatMap(({ joined }) => joined.map(({ user }) => user)).sort()).toEqual(["anna", "ben"]);

    // A second tab is not a second person.
    told.length = 0;
    const secondTab = await enter("anna");
    await soon(() => {
      expect(people(last())).toEqual(["anna 2", "ben 1"]);
    });
    secondTab.disconnect();
    await soon(() => {
      expect(people(last())).toEqual(["anna 1", "ben 1"]);
    });
    expect(told.flatMap(({ joined, left }) => [...joined, ...left])).toEqual([]);
  });

  test("leaves out Python, where it listens", async () => {
    await enter("instant:listener");
    const watcher = await page("ben");
    site.django.user = "ben";
    const told: Presence[] = [];
    watcher.channel("room").onPresence((presence) => told.push(presence));
    await soon(() => {
      expect(told.at(-1)?.people.map(({ user }) => user)).toEqual(["ben"]);
    });
    expect((await watcher.channel("room").presence()).map(({ user }) => user)).toEqual(["ben"]);
    const anna = await enter("anna");
    await soon(() => {
      expect(told.at(-1)?.people.map(({ user }) => user).sort()).toEqual(["anna", "ben"]);
    });
    anna.disconnect();
    await soon(() => {
      expect(told.at(-1)?.left.map(({ user }) => user)).toEqual(["anna"]);
    });
    expect(told.flatMap(({ joined }) => joined.map(({ user }) => user))).not.toContain("instant:listener");
  });

  test("reports who left while the connection was down", async () => {
    const anna = await enter("anna");
    const watcher = await page("ben");
    site.django.user = "ben";
    const told: Presence[] = [];
    watcher.channel("room").onPresence((presence) => told.push(presence));
    await soon(() => {
      expect(people(told.at(-1) ?? { people: [], joined: [], left: [] })).toHaveLength(2);
    });
    told.length = 0;
    anna.disconnect();
    site.centrifugo.cut();
    await soon(() => {
      expect(told.flatMap(({ left }) => left.map(({ user }) => user))).toEqual(["anna"]);
    });
  });

  test("joins that arrive while the list is loaded are added to it", async () => {
    const watcher = await page("ben");
    site.django.user = "ben";
    let open = (): void => undefined;
    site.centrifugo.gate = new Promise((resolve) => (open = resolve));
    const told: Presence[] = [];
    watcher.channel("room").onPresence((presence) => told.push(presence));
    await soon(() => {
      expect(site.centrifugo.count("presence")).toBe(1);
    });
    await enter("anna");
    expect(told).toEqual([]);
    open();
    await soon(() => {
      expect(told.map(people)).toEqual([["anna 1", "ben 1"]]);
    });
  });

  test("a listener that is added later subscribes again for joins, and misses no message", async () => {
    const watcher = await page("ben");
    site.django.user = "ben";
    const inbox = new Inbox();
    const channel = watcher.channel("room");
    channel.on("*", inbox.add);
    await soon(() => {
      expect(channel.status).toBe("live");
    });
    site.centrifugo.publish("room", { message: "before" });
    await inbox.holds("before");
    const told: Presence[] = [];
    channel.onPresence((presence) => told.push(presence));
    site.centrifugo.publish("room", { message: "between" });
    await soon(() => {
      expect(told.map(people)).toEqual([["ben 1"]]);
    });
    site.centrifugo.publish("room", { message: "after" });
    await inbox.holds("before", "between", "after");
    // Another listener needs no new subscription.
    const second: Presence[] = [];
    watcher.channel("room").onPresence((presence) => second.push(presence));
    await soon(() => {
      expect(second.map(people)).toEqual([["ben 1"]]);
    });
    expect(site.centrifugo.received.filter(({ name, params }) => name === "subscribe" && params.channel === "room")).toHaveLength(2);
  });

  test("publish(), history() and listeners for messages do not load presence again", async () => {
    const watcher = await page("ben");
    site.django.user = "ben";
    const told: Presence[] = [];
    const channel = watcher.channel("room");
    channel.onPresence((presence) => told.push(presence));
    await soon(() => {
      expect(told.map(people)).toEqual([["ben 1"]]);
    });
    const inbox = new Inbox();
    channel.on("*", inbox.add);
    await channel.publish({ message: "one" });
    await channel.history();
    await inbox.holds("one");
    expect(site.centrifugo.count("presence")).toBe(1);
    channel.onPresence(() => undefined, { signal: AbortSignal.abort() });
    await channel.publish({ message: "two" });
    await inbox.holds("one", "two");
    expect(site.centrifugo.count("presence")).toBe(1);
  });

  test("presence() asks once, and needs no listener", async () => {
    await enter("anna");
    await enter("anna");
    const found: readonly Person[] = await (await page("anna")).channel("room").presence();
    expect(found).toEqual([{ user: "anna", connections: 3, info: { name: "anna" } }]);
  });

  test("where it is not allowed, presence() rejects and onPresence() reports an error", async () => {
    site.centrifugo.permits = false;
    const instant = site.instant();
    const errors: unknown[] = [];
    instant.on("error", (error) => errors.push(error));
    await expect(instant.channel("public").presence()).rejects.toMatchObject({ name: "ChannelError", code: 103, channel: "public" });
    instant.channel("public").onPresence(() => undefined);
    await soon(() => {
      expect(errors).toEqual([expect.objectContaining({ name: "ChannelError", code: 103 })]);
    });
    expect(instant.channel("public").status).toBe("live");
  });
});

describe("history", () => {
  test("returns past messages, oldest first, with the position to continue from", async () => {
    for (const message of ["a", "b", "c", "d"]) site.centrifugo.publish("public", { message, id: message });
    const channel = site.instant().channel("public");
    const { messages, ...position } = await channel.history({ limit: 2 });
    expect(messages.map(({ message, offset, recovered }) => [message, offset, recovered])).toEqual([
      ["a", 1, false],
      ["b", 2, false],
    ]);
    expect(position).toEqual({ offset: 4, epoch: "first" });
    const rest = await channel.history({ since: { offset: 2, epoch: position.epoch } });
    expect(rest.messages.map(({ message }) => message)).toEqual(["c", "d"]);
    const newest = await channel.history({ limit: 1, newestFirst: true });
    expect(newest.messages.map(({ message }) => message)).toEqual(["d"]);
  });

  test("a denied channel rejects", async () => {
    await expect(site.instant().channel("$staff").history()).rejects.toMatchObject({ name: "ChannelError", code: 103 });
  });

  test("what takes too long rejects with a timeout", async () => {
    site.django.instead.push({ status: 500, body: "broken" });
    const instant = site.instant({ timeout: 100, reconnectDelay: [60_000, 60_000] });
    await expect(instant.channel("public").history()).rejects.toMatchObject({ name: "ChannelError", code: 1 });
  });
});

describe("publish", () => {
  test("reaches listeners in all pages, and is marked as own in one", async () => {
    const [here, there] = [site.instant(), site.instant()];
    const [mine, others] = [new Inbox(), new Inbox()];
    here.channel("public").on("*", mine.add);
    there.channel("public").on("*", others.add);
    await subscribed("public", "public");
    const sent = await here.channel("public").publish({ message: "hi", data: { a: 1 }, eventClass: "chat", bucket: "b" });
    const id = sent?.id ?? "";
    await mine.holds("hi");
    await others.holds("hi");
    expect(mine.messages[0]).toMatchObject({ data: { a: 1 }, eventClass: "chat", bucket: "b", id, own: true });
    expect(sent).toBe(mine.messages[0]);
    expect(others.messages[0]).toMatchObject({ channel: "public", id, own: false });
    expect(await here.channel("public").publish({ id: "mine", message: "x" })).toMatchObject({ id: "mine" });
  });

  test("rejects where browsers may not publish", async () => {
    site.centrifugo.permits = false;
    await expect(site.instant().channel("public").publish({ message: "x" })).rejects.toMatchObject({
      name: "ChannelError",
      code: 103,
      channel: "public",
    });
  });
});

describe("rights", () => {
  test("are those that Django granted last, else none", async () => {
    site.django.rights.set("", ["public", "room"]);
    site.django.abilities.set("room", ["publish", "presence"]);
    const instant = site.instant();
    const [room, plain, denied] = [instant.channel("room"), instant.channel("public"), instant.channel("$staff")];
    expect(room.rights).toEqual([]);
    for (const channel of [room, plain, denied]) channel.on("*", () => undefined);
    await subscribed("public", "room");
    await until(instant, "live");
    expect([room.rights, plain.rights, denied.rights]).toEqual([["publish", "presence"], [], []]);
    site.django.abilities.set("room", ["history"]);
    site.django.abilities.set("public", ["publish"]);
    const during: (readonly string[])[] = [];
    instant.on("status", () => during.push(room.rights));
    site.centrifugo.cut();
    // They stay while the page connects again.
    await soon(() => {
      expect(during).toEqual([["publish", "presence"], ["history"], ["history"]]);
    });
    expect(plain.rights).toEqual(["publish"]);
    site.centrifugo.unsubscribe("room");
    await soon(() => {
      expect(room.denial).toBe("revoked");
    });
    expect(room.rights).toEqual([]);
    // A channel that is added later has its own rights; one that was left has none.
    site.django.rights.set("", ["public", "late"]);
    site.django.abilities.set("late", ["presence"]);
    instant.channel("late").on("*", () => undefined);
    await subscribed("late", "public");
    expect(instant.channel("late").rights).toEqual(["presence"]);
    plain.leave();
    await soon(() => {
      expect(plain.status).toBe("idle");
    });
    expect(plain.rights).toEqual([]);
  });
});

describe("where subscribers may not ask, Django answers", () => {
  test("presence() and onPresence()", async () => {
    site.centrifugo.permits = false;
    const clients = { one: { user: "7", info: { name: "Ada" } }, two: { user: "7", info: { name: "Ada" } }, three: { user: "" } };
    site.django.told.set("presence public", { clients });
    const people = [
      { user: "7", connections: 2, info: { name: "Ada" } },
      { user: "", connections: 1, info: undefined },
    ];
    const channel = site.instant().channel("public");
    expect(await channel.presence()).toEqual(people);
    expect(site.django.seen.at(-1)).toMatchObject({ view: "presence", body: { channel: "public" } });
    const told: Presence[] = [];
    channel.onPresence((presence) => told.push(presence));
    await soon(() => {
      expect(told.map((presence) => presence.people)).toEqual([people]);
    });
  });

  test("history(), with at most as many messages as Django returns", async () => {
    site.centrifugo.permits = false;
    site.django.told.set("history public", { publications: [{ data: { message: "a", id: "1" }, offset: 3 }], offset: 3, epoch: "e" });
    const channel = site.instant().channel("public");
    const { messages, ...position } = await channel.history({ limit: 1000, newestFirst: true, since: { offset: 4, epoch: "e" } });
    expect(messages).toMatchObject([{ channel: "public", message: "a", id: "1", offset: 3, recovered: false }]);
    expect(position).toEqual({ offset: 3, epoch: "e" });
    const body = { channel: "public", limit: 100, reverse: true, since: { offset: 4, epoch: "e" } };
    expect(site.django.seen.at(-1)).toMatchObject({ view: "history", body });
  });

  test("if Django refuses too, the server's error is reported; a page without the URLs does not ask", async () => {
    site.centrifugo.permits = false;
    const refusal = { name: "ChannelError", code: 103, channel: "public" };
    await expect(site.instant().channel("public").presence()).rejects.toMatchObject(refusal);
    await expect(site.instant().channel("public").history()).rejects.toMatchObject(refusal);
    expect(site.django.views().filter((view) => view === "presence" || view === "history")).toHaveLength(2);
    const bare = site.instant({ urls: { presence: "" } });
    await expect(bare.channel("public").presence()).rejects.toMatchObject(refusal);
    expect(site.django.views().filter((view) => view === "presence")).toHaveLength(1);
  });

  test("another error of Django is reported as it is, and does not sign the page out", async () => {
    site.centrifugo.permits = false;
    const instant = site.instant();
    await instant.connect();
    const channel = instant.channel("public");
    channel.on("*", () => undefined);
    await subscribed("public");
    site.django.instead.push({ status: 503, body: { error: "no server" } });
    await expect(channel.presence()).rejects.toMatchObject({ name: "ReplyError", status: 503 });
    expect(instant.status).toBe("live");
  });

  test("where subscribers may ask, Django is not asked", async () => {
    const channel = site.instant().channel("public");
    await channel.presence();
    await channel.history();
    expect(site.django.views()).not.toContain("presence");
    expect(site.django.views()).not.toContain("history");
  });
});

describe("own messages", () => {
  test("once() finds a message by its id, whether the message or Django's response is faster", async () => {
    const instant = site.instant();
    const channel = instant.channel("public");
    const inbox = new Inbox();
    channel.on("*", inbox.add);
    await subscribed("public");
    const { tab } = instant;
    const late = channel.once("*", { id: "2" });
    site.centrifugo.publish("public", { message: "early", id: "1", tab });
    site.centrifugo.publish("public", { message: "late", id: "2", tab });
    expect(await late).toMatchObject({ message: "late", own: true });
    expect(await channel.once("*", { id: "1" })).toBe(inbox.messages[0]);
    // Also after a reconnect, among the missed messages.
    const missed = channel.once("*", { id: "3" });
    site.centrifugo.cut();
    site.centrifugo.publish("public", { message: "missed", id: "3", tab });
    expect(await missed).toMatchObject({ message: "missed", own: true, recovered: true });
    // Messages that others caused are not kept.
    site.centrifugo.publish("public", { message: "theirs", id: "4", tab: "another" });
    await inbox.holds("early", "late", "missed", "theirs");
    const controller = new AbortController();
    const never = channel.once("*", { id: "4", signal: controller.signal });
    controller.abort(new Error("enough"));
    await expect(never).rejects.toThrow("enough");
  });

  test("are marked and can be left out, also when they were missed", async () => {
    const instant = site.instant();
    const [all, others] = [new Inbox(), new Inbox()];
    instant.channel("public").on("*", all.add);
    instant.channel("public").on("*", others.add, { own: false });
    await subscribed("public");
    site.centrifugo.publish("public", { message: "mine", tab: instant.tab });
    site.centrifugo.publish("public", { message: "theirs", tab: "another" });
    site.centrifugo.publish("public", { message: "nobody's" });
    await all.holds("mine", "theirs", "nobody's");
    site.centrifugo.cut();
    site.centrifugo.publish("public", { message: "mine, replayed", tab: instant.tab });
    site.centrifugo.publish("public", { message: "theirs, replayed", tab: "another" });
    await all.holds("mine", "theirs", "nobody's", "mine, replayed", "theirs, replayed");
    expect(all.messages.map(({ own }) => own)).toEqual([true, false, false, true, false]);
    expect(others.texts).toEqual(["theirs", "nobody's", "theirs, replayed"]);
  });

  test("a message whose id was delivered is dropped, whatever its offset, also when it was missed", async () => {
    const instant = site.instant();
    const inbox = new Inbox();
    instant.channel("public").on("*", inbox.add);
    await subscribed("public");
    site.centrifugo.publish("public", { message: "one", id: "1" });
    site.centrifugo.publish("public", { message: "one", id: "1" });
    site.centrifugo.publish("public", { message: "two", id: "2" });
    await inbox.holds("one", "two");
    site.centrifugo.cut();
    site.centrifugo.publish("public", { message: "two", id: "2" });
    site.centrifugo.publish("public", { message: "three", id: "3" });
    await inbox.holds("one", "two", "three");
    // Only the last 256 ids are kept.
    for (let count = 0; count < 256; count += 1) site.centrifugo.publish("public", { message: "x", id: `x${count.toString()}` });
    site.centrifugo.publish("public", { message: "one again", id: "1" });
    await soon(() => {
      expect(inbox.texts.at(-1)).toBe("one again");
    });
  });

  test("requests to Django have the page's name in a header, requests to other sites do not", async () => {
    const instant = site.instant();
    expect(instant.tab).toMatch(/^\d+(-\d+){3}$/);
    expect(instant.headers()).toEqual({ "X-Instant-Tab": instant.tab });
    expect(site.instant().tab).not.toBe(instant.tab);
    expect(instant.createId()).not.toBe(instant.createId());
    await instant.connect();
    expect(site.django.seen[0]?.tab).toBe(instant.tab);
  });
});
