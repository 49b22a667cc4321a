/** Tabs that share one connection. Real tabs, and what ends them, are in ../../tests/client/test_tabs.py. */
import { beforeEach, expect, test, vi } from "vitest";

import type { Instant } from "../src/instant.js";
import { Inbox, soon, until, useSite } from "./site.js";
import { Channel, Locks } from "./tabs.js";

const site = useSite();
/** What each tab does when it is left, in the order in which they connected. */
let leaving: (() => void)[];

beforeEach(() => {
  leaving = [];
  Channel.all.clear();
  vi.stubGlobal("navigator", { locks: new Locks(), onLine: true });
  vi.stubGlobal("BroadcastChannel", Channel);
  vi.stubGlobal("addEventListener", (name: string, listener: () => void) => {
    if (name === "pagehide" && listener.name === "leave") leaving.push(listener);
  });
});

/** Opens a tab that listens to channels, and waits until it is live. */
async function open(...channels: string[]): Promise<{ instant: Instant; inbox: Inbox; close: () => void }> {
  const instant = site.instant({ shared: true, tokenless: ["news"] });
  const inbox = new Inbox();
  const closers = channels.map((name) => instant.channel(name).on("*", inbox.add));
  await soon(() => {
    expect(channels.map((name) => instant.channel(name).status)).toEqual(channels.map(() => "live"));
  });
  await until(instant, "live");
  const close = (): void => {
    for (const one of closers) one();
  };
  return { instant, inbox, close };
}

/** Subscribes a tab to news:1 from a position. Returns what it gets, and what it is told first. */
async function since(offset: number, epoch = "first"): Promise<{ texts: string[]; context: unknown }> {
  const instant = site.instant({ shared: true });
  const texts: string[] = [];
  await instant.connect();
  const subscription = instant.getClient()?.newSubscription("news:1", { since: { offset, epoch } });
  subscription?.on("publication", ({ data }) => texts.push((data as { message: string }).message));
  const context = new Promise((resolve) => subscription?.on("subscribed", resolve));
  subscription?.subscribe();
  return { context: await context, texts };
}

test("ten tabs have one connection and one subscription, and all hear everything once", async () => {
  const tabs = [];
  for (let count = 0; count < 10; count += 1) tabs.push(await open("public"));
  site.centrifugo.publish("public", { message: "one" });
  site.centrifugo.publish("public", { message: "two" });
  for (const { inbox } of tabs) await inbox.holds("one", "two");
  expect(site.centrifugo.users).toEqual([""]);
  expect([site.centrifugo.count("connect"), site.centrifugo.count("subscribe")]).toEqual([1, 1]);
});

test("when the tab with the connection goes, the next one has it within a second, and nothing is lost or doubled", async () => {
  const first = await open("public");
  const others = [await open("public"), await open("public"), await open("public")];
  const numbers: string[] = [];
  const publish = (): void => {
    numbers.push(String(numbers.length));
    site.centrifugo.publish("public", { message: numbers.at(-1) });
  };
  publish();
  await first.inbox.holds("0");
  const timer = setInterval(publish, 3);
  const began = Date.now();
  leaving[0]?.();
  await soon(() => {
    expect(site.centrifugo.count("connect")).toBe(2);
  });
  for (const { instant } of others) await until(instant, "live");
  clearInterval(timer);
  for (const { inbox } of others) await inbox.holds(...numbers);
  // Before anybody would have asked whether the leader runs.
  expect(Date.now() - began).toBeLessThan(1000);
  expect(site.centrifugo.users).toEqual([""]);
});

test("a tab that knows a position gets what came after it, from what is kept or from the server; others hear it once", async () => {
  site.centrifugo.tokenless.add("news");
  for (const message of ["one", "two"]) site.centrifugo.publish("news:1", { message });
  const { inbox } = await open("news:1");
  for (const message of ["three", "four"]) site.centrifugo.publish("news:1", { message });
  await inbox.holds("three", "four");
  expect((await since(3)).texts).toEqual(["four"]);
  expect(site.centrifugo.count("subscribe")).toBe(1);
  expect((await since(1)).texts).toEqual(["two", "three", "four"]);
  expect(site.centrifugo.count("subscribe")).toBe(2);
  const last = await since(1);
  expect(last.texts).toEqual(["two", "three", "four"]);
  expect(site.centrifugo.count("subscribe")).toBe(2);
  site.centrifugo.publish("news:1", { message: "five" });
  await inbox.holds("three", "four", "five");
  await soon(() => {
    expect(last.texts).toEqual(["two", "three", "four", "five"]);
  });
});

test("a tab whose position is of another epoch is told that messages are missing", async () => {
  site.centrifugo.tokenless.add("news");
  await open("news:1");
  const { context } = await since(7, "of yesterday");
  expect(context).toMatchObject({ wasRecovering: true, recovered: false, streamPosition: { epoch: "first", offset: 0 } });
  expect(site.centrifugo.count("subscribe")).toBe(1);
});

test("the subscription lasts as long as a tab needs it, and the connection too", async () => {
  const [one, other] = [await open("public"), await open("public")];
  one.close();
  await soon(() => {
    expect(one.instant.getClient()?.subscriptions()).toEqual({});
  });
  site.centrifugo.publish("public", { message: "one" });
  await other.inbox.holds("one");
  expect([one.inbox.texts, site.centrifugo.count("unsubscribe")]).toEqual([[], 0]);
  other.close();
  await soon(() => {
    expect(site.centrifugo.subscribed).toEqual([]);
  });
  other.instant.disconnect();
  await until(one.instant, "live");
  expect(site.centrifugo.users).toEqual([""]);
  one.instant.disconnect();
  await soon(() => {
    expect(site.centrifugo.users).toEqual([]);
  });
});

test("what the server refuses is told the tab that asked, and another asks for itself", async () => {
  const one = await open("public");
  site.django.rights.set("", ["public", "more"]);
  site.centrifugo.tokenless.add("open");
  site.centrifugo.refused.set("open:1", 103);
  const tab = site.instant({ shared: true, tokenless: ["open"] });
  tab.channel("open:1").on("*", () => undefined);
  await soon(() => {
    expect(tab.channel("open:1").status).toBe("denied");
  });
  expect(one.instant.status).toBe("live");
  site.centrifugo.refused.clear();
  const later = site.instant({ shared: true, tokenless: ["open"] });
  later.channel("open:1").on("*", () => undefined);
  await soon(() => {
    expect(later.channel("open:1").status).toBe("live");
  });
  expect(tab.channel("open:1").status).toBe("denied");
});

test("a token that has expired costs one tab another request, and the others nothing", async () => {
  const { instant } = await open("public");
  const before = site.django.views().length;
  site.centrifugo.expireTokens(site.django.serial + 3);
  const other = await open("public");
  expect(site.centrifugo.count("connect")).toBe(1);
  expect(instant.status).toBe("live");
  expect(other.instant.status).toBe("live");
  expect(site.django.views().length - before).toBe(1);
});

test("a subscription that the server ends is ended in all tabs", async () => {
  const tabs = [await open("public"), await open("public")];
  site.centrifugo.unsubscribe("public");
  for (const { instant } of tabs) {
    await soon(() => {
      expect(instant.channel("public").denial).toBe("revoked");
    });
  }
});

test("a connection that the server ends for its user is ended in all tabs; one that breaks is made anew", async () => {
  const tabs = [await open("public"), await open("public")];
  site.centrifugo.cut();
  await soon(() => {
    expect(site.centrifugo.count("subscribe")).toBe(2);
  });
  for (const { instant } of tabs) await until(instant, "live");
  expect(site.centrifugo.users).toEqual([""]);
  site.centrifugo.cut(3503);
  for (const { instant } of tabs) await until(instant, "signed-out");
});

test("tabs of another user have a connection of their own", async () => {
  await open("public");
  site.django.rights.set("anna", ["public"]);
  site.django.user = "anna";
  await open("public");
  await open("public");
  expect(site.centrifugo.users.sort()).toEqual(["", "anna"]);
});

test("a tab in which somebody logs in leaves the connection of nobody, and the others follow", async () => {
  const [one, other] = [await open("public"), await open("public")];
  site.django.rights.set("anna", ["public"]);
  await one.instant.login("anna", "secret-of-anna");
  await soon(() => {
    expect(site.centrifugo.users).toEqual(["anna"]);
  });
  for (const { instant } of [one, other]) await until(instant, "live");
  site.centrifugo.publish("public", { message: "one" });
  for (const { inbox } of [one, other]) await inbox.holds("one");
});

test("without locks, or where it is off, each tab has its own", async () => {
  vi.stubGlobal("navigator", {});
  await open("public");
  await open("public");
  vi.stubGlobal("navigator", { locks: new Locks() });
  const plain = site.instant();
  plain.channel("public").on("*", () => undefined);
  await until(plain, "live");
  expect(site.centrifugo.users).toEqual(["", "", ""]);
});

test("a message is own only in the tab that published it, whatever Python makes of it", async () => {
  site.centrifugo.permits = true;
  const tabs = [await open("public"), await open("public"), await open("public")];
  const [, publisher] = tabs;
  await publisher?.instant.channel("public").publish({ message: "mine" });
  site.centrifugo.onPublish = () => ({ message: "changed" });
  await publisher?.instant.channel("public").publish({ message: "mine, too" });
  for (const { inbox } of tabs) await inbox.holds("mine", "changed");
  expect(tabs.map(({ inbox }) => inbox.messages.map(({ own }) => own))).toEqual([
    [false, false],
    [true, true],
    [false, false],
  ]);
});

test("answers go to the tab that asked", async () => {
  site.centrifugo.methods.set("double", (data) => ({ n: (data as { n: number }).n * 2 }));
  const tabs = [await open("public"), await open("public")];
  const calls = tabs.flatMap(({ instant }, tab) => [1, 2, 3].map((n) => instant.rpc("double", { n: n + tab * 10 })));
  expect(await Promise.all(calls)).toEqual([2, 4, 6, 22, 24, 26].map((n) => ({ n })));
});

test("a tab that wants to know who comes and goes gets it, and the others miss nothing", async () => {
  const one = await open("public");
  site.centrifugo.publish("public", { message: "one" });
  await one.inbox.holds("one");
  const { instant } = await open("public");
  const seen: number[] = [];
  instant.channel("public").onPresence(({ people }) => seen.push(people.length));
  await soon(() => {
    expect(seen).toContain(1);
  });
  site.centrifugo.publish("public", { message: "two" });
  await one.inbox.holds("one", "two");
  expect(site.centrifugo.users).toEqual([""]);
});

test("channels that come with their newest message do so in each tab", async () => {
  site.centrifugo.isLatest = true;
  site.centrifugo.publish("public", { message: "old" });
  site.centrifugo.publish("public", { message: "newest" });
  const one = await open("public");
  const other = await open("public");
  await one.inbox.holds("newest");
  await other.inbox.holds("newest");
  site.centrifugo.publish("public", { message: "next" });
  await one.inbox.holds("newest", "next");
  await other.inbox.holds("newest", "next");
});

test("another transport is tried at once where no WebSocket gets through", async () => {
  const asked: string[] = [];
  const instant = site.instant({
    shared: true,
    reconnectDelay: [20_000, 20_000],
    // Nobody is there.
    websocketUrl: "ws://127.0.0.1:9/connection/websocket",
    fetch: (url, init) => {
      asked.push((url as string).replace(/.*\//, ""));
      return fetch(url, init);
    },
  });
  instant.channel("public").on("*", () => undefined);
  await soon(() => {
    expect(asked).toContain("http_stream");
  });
});

test("a tab that takes the connection from another leaves both live", async () => {
  const tabs = [await open("public"), await open("public")];
  const { locks } = navigator as unknown as { locks: Locks };
  const group = [...Channel.all].map(({ name }) => name).find((name) => name.endsWith("]")) ?? "";
  // Stands for a tab that finds the first one blocked, and is closed soon.
  let release: () => void = () => undefined;
  void locks.request(group, { steal: true }, () => new Promise<void>((resolve) => (release = resolve)));
  await soon(() => {
    expect(site.centrifugo.users).toEqual([]);
  });
  release();
  for (const { instant } of tabs) await until(instant, "live");
  site.centrifugo.publish("public", { message: "one" });
  for (const { inbox } of tabs) await inbox.holds("one");
  expect(site.centrifugo.users).toEqual([""]);
});

/** Returns the end of the line of the tab that was opened last, if it isn't the one with the connection. */
function lineOfLast(): Channel {
  const lines = [...Channel.all].filter(({ name }) => !name.endsWith("]"));
  const last = lines.filter(({ name }, index) => lines.findIndex((one) => one.name === name) === index).at(-1);
  if (!last) throw new Error("there is no other tab");
  return last;
}

/** Publishes so many messages to a channel, and waits until a tab has them. Returns their texts. */
async function flood(inbox: Inbox, count: number, size = 1): Promise<string[]> {
  const texts = Array.from({ length: count }, (_, number) => String(number).padStart(size, "-"));
  for (const message of texts) {
    site.centrifugo.publish("public", { message });
    // So that each comes in a frame of its own.
    await new Promise((resolve) => setImmediate(resolve));
  }
  await inbox.holds(...texts);
  return texts;
}

test.each([
  ["many messages", 6000, 1],
  ["large messages", 300, 20_000],
])("a tab that hangs is let go of after %s, and recovers what it missed when it runs again", async (_, count, size) => {
  const first = await open("public");
  // A tab that hangs has no clock, by which it would find that the other one doesn't answer: nor has a hidden one.
  vi.stubGlobal("document", { hidden: true, cookie: "", addEventListener: () => undefined, querySelectorAll: () => [] });
  const hung = await open("public");
  const line = lineOfLast();
  line.hold();
  const texts = await flood(first.inbox, count, size);
  // The browser keeps it, where nobody can see it.
  expect(line.held?.length).toBeLessThan(4200);
  expect(JSON.stringify(line.held).length).toBeLessThan(4_400_000);
  expect(hung.inbox.texts).toEqual([]);
  line.release();
  await hung.inbox.holds(...texts);
  site.centrifugo.publish("public", { message: "next" });
  for (const { inbox } of [first, hung]) await inbox.holds(...texts, "next");
  expect(site.centrifugo.users).toEqual([""]);
});

test("a tab that reads is not let go of, however much comes", async () => {
  const [first, other] = [await open("public"), await open("public")];
  const line = lineOfLast();
  const texts = await flood(first.inbox, 6000, 1000);
  await other.inbox.holds(...texts);
  expect(lineOfLast()).toBe(line);
});

test("a leader that hangs is replaced within a second, by one tab, and hears all when it runs again", async () => {
  const leader = await open("public");
  const own = [...Channel.all];
  const others = [];
  for (let count = 0; count < 5; count += 1) others.push(await open("public"));
  const lines = [...Channel.all].filter(({ name }) => !name.endsWith("]"));
  own.push(...lines.filter(({ name }, index) => lines.findIndex((one) => one.name === name) < index));
  for (const channel of own) channel.hold();
  const began = Date.now();
  await soon(() => {
    expect(site.centrifugo.count("connect")).toBe(2);
  });
  expect(Date.now() - began).toBeLessThan(1000);
  for (const { instant } of others) await until(instant, "live");
  site.centrifugo.publish("public", { message: "one" });
  for (const { inbox } of others) await inbox.holds("one");
  for (const channel of own) channel.release();
  await leader.inbox.holds("one");
  // No other has taken it after that.
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect(site.centrifugo.count("connect")).toBe(2);
  expect(site.centrifugo.users).toEqual([""]);
});

test("a page that may use neither locks nor channels has its own connection", async () => {
  const denied = new DOMException("denied", "SecurityError");
  vi.stubGlobal("navigator", { locks: { request: () => Promise.reject(denied) } });
  await open("public");
  vi.stubGlobal("BroadcastChannel", function () {
    throw denied;
  });
  await open("public");
  expect(site.centrifugo.users).toEqual(["", ""]);
});
