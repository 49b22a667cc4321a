import { describe, expect, test, vi } from "vitest";

import type { Instant } from "../src/instant.js";
import type { InstantMessage } from "../src/types.js";
import { Inbox, soon, until, useSite } from "./site.js";

const site = useSite();

async function subscribed(...names: string[]): Promise<void> {
  await soon(() => {
    expect(site.centrifugo.subscribed).toEqual(names);
  });
}

/** Resolves when every channel that has lost its last listener by now is unsubscribed. */
async function graceIsOver(instant: Instant): Promise<void> {
  const channel = instant.channel("somebody-who-leaves-last");
  channel.on("*", () => undefined);
  channel.leave();
  await soon(() => {
    expect(channel.status).toBe("idle");
  });
}

describe("a position that the page knows", () => {
  const said = (message: string): object => ({ message });

  test("what came after it arrives first", async () => {
    for (const text of ["old", "known", "missed"]) site.centrifugo.publish("public", said(text));
    const { epoch } = site.centrifugo;
    const instant = site.instant();
    const inbox = new Inbox();
    const channel = instant.channel("public");
    expect(channel.position).toBeUndefined();
    channel.on("*", inbox.add, { since: { offset: 2, epoch } });
    await inbox.holds("missed");
    site.centrifugo.publish("public", said("next"));
    await inbox.holds("missed", "next");
    expect(channel.position).toEqual({ offset: 4, epoch });
  });

  test("of two listeners the first one's counts", async () => {
    for (const text of ["known", "missed"]) site.centrifugo.publish("public", said(text));
    const { epoch } = site.centrifugo;
    const [first, second] = [new Inbox(), new Inbox()];
    const channel = site.instant().channel("public");
    channel.on("*", first.add, { since: { offset: 1, epoch } });
    channel.on("*", second.add, { since: { offset: 2, epoch } });
    await first.holds("missed");
    await second.holds("missed");
  });

  test("one of another history is a loss", async () => {
    site.centrifugo.publish("public", said("who knows"));
    const channel = site.instant().channel("public");
    const lost = vi.fn();
    channel.onLost(lost);
    channel.on("*", () => undefined, { since: { offset: 1, epoch: "forgotten" } });
    await channel.subscribed(); // the server knows of it a moment before the page
    expect(channel.status).toBe("live");
    expect(lost).not.toHaveBeenCalled(); // the first listener said nothing of a position
    channel.leave();
    await subscribed();
    channel.on("*", () => undefined, { since: { offset: 1, epoch: "forgotten" } });
    channel.onLost(lost);
    await soon(() => {
      expect(lost).toHaveBeenCalledOnce();
    });
  });

  test("without a history there is none", async () => {
    const channel = site.instant().channel("public");
    channel.on("*", () => undefined, { since: { offset: 0, epoch: "" } });
    await subscribed("public");
    expect(site.centrifugo.received.find(({ name }) => name === "subscribe")?.params.recover).toBeUndefined();
  });
});

describe("sharing", () => {
  test("handles of the same name share one subscription, which ends with the last listener", async () => {
    site.django.rights.set("", ["public", "other"]);
    const instant = site.instant();
    instant.channel("other").on("*", () => undefined);
    const [first, second] = [new Inbox(), new Inbox()];
    const one = instant.channel("public");
    const two = instant.channel("public");
    one.on("*", first.add);
    two.on("*", second.add);
    await subscribed("other", "public");
    expect(site.centrifugo.count("subscribe")).toBe(2);
    site.centrifugo.publish("public", { message: "both" });
    await first.holds("both");
    await second.holds("both");
    one.leave();
    await graceIsOver(instant);
    site.centrifugo.publish("public", { message: "second only" });
    await second.holds("both", "second only");
    expect(first.texts).toEqual(["both"]);
    two.leave();
    await subscribed("other");
    expect(two.status).toBe("idle");
    expect(instant.status).toBe("live");
  });

  test("a page fragment that is replaced keeps the subscription", async () => {
    const instant = site.instant();
    const before = instant.channel("public");
    before.on("*", () => undefined);
    await subscribed("public");
    before.leave();
    const inbox = new Inbox();
    instant.channel("public").on("*", inbox.add);
    site.centrifugo.publish("public", { message: "still here" });
    await inbox.holds("still here");
    await graceIsOver(instant);
    site.centrifugo.publish("public", { message: "and still" });
    await inbox.holds("still here", "and still");
    expect(site.centrifugo.received.filter(({ params }) => params.channel === "public")).toHaveLength(1);
  });

  test("a channel that was left can be joined again", async () => {
    const instant = site.instant();
    const channel = instant.channel("public");
    channel.on("*", () => undefined);
    await subscribed("public");
    channel.leave();
    await subscribed();
    const inbox = new Inbox();
    channel.on("*", inbox.add);
    await subscribed("public");
    site.centrifugo.publish("public", { message: "back" });
    await inbox.holds("back");
  });

  test("an AbortSignal removes listeners, and the subscription with the last one", async () => {
    const instant = site.instant();
    const inbox = new Inbox();
    const controller = new AbortController();
    const channel = instant.channel("public");
    channel.on("*", inbox.add, { signal: controller.signal });
    channel.onStatus(() => undefined, { signal: controller.signal });
    await subscribed("public");
    controller.abort();
    site.centrifugo.publish("public", { message: "unheard" });
    await subscribed();
    expect(inbox.texts).toEqual([]);
    channel.on("*", inbox.add, { signal: controller.signal });
    expect(channel.status).toBe("idle");
  });

  test("a listener with a key replaces the one with the same key, through any handle", async () => {
    const instant = site.instant();
    const [first, second, other, plain] = [new Inbox(), new Inbox(), new Inbox(), new Inbox()];
    const statuses: string[] = [];
    const shown: string[] = [];
    for (const inbox of [first, second]) {
      // What an inline script does each time when htmx or Turbo swaps its page in.
      instant.channel("public").on("*", inbox.add, { key: "board" });
      instant.channel("public").onStatus((status) => statuses.push(status), { key: "board" });
      instant.on("status", (status) => shown.push(status), { key: "board" });
    }
    instant.channel("public").on("shipped", other.add, { key: "board" });
    instant.channel("public").on("*", plain.add);
    await subscribed("public");
    site.centrifugo.publish("public", { message: "one", event_class: "shipped" });
    await plain.holds("one");
    expect([first.texts, second.texts, other.texts]).toEqual([[], ["one"], ["one"]]);
    expect([statuses, shown]).toEqual([["live"], ["live"]]);
    expect(site.centrifugo.count("subscribe")).toBe(1);
  });

  test("a key ends a loop, and its listener keeps the subscription of the one before", async () => {
    const instant = site.instant();
    const texts: string[] = [];
    const loop = (async () => {
      for await (const { message } of instant.channel("public").each("*", { key: "board" })) texts.push(message);
    })();
    await subscribed("public");
    const off = instant.channel("public").on("*", ({ message }) => texts.push(message), { key: "board" });
    await loop;
    await graceIsOver(instant);
    site.centrifugo.publish("public", { message: "one" });
    await soon(() => {
      expect(texts).toEqual(["one"]);
    });
    off();
    await subscribed();
  });

  test("the function that on() returns removes one listener, once", async () => {
    const instant = site.instant();
    const [kept, removed] = [new Inbox(), new Inbox()];
    const channel = instant.channel("public");
    channel.on("*", kept.add);
    const off = channel.on("*", removed.add);
    await subscribed("public");
    off();
    off();
    site.centrifugo.publish("public", { message: "one" });
    await kept.holds("one");
    expect(removed.texts).toEqual([]);
    expect(channel.status).toBe("live");
  });
});

describe("messages", () => {
  test("reach the listeners of their event class and those of all messages", async () => {
    const instant = site.instant();
    const channel = instant.channel("public");
    const [shipped, star, all] = [new Inbox(), new Inbox(), new Inbox()];
    channel.on("shipped", shipped.add);
    channel.on("*", star.add);
    channel.on("message", all.add);
    await subscribed("public");
    site.centrifugo.publish("public", { message: "a", event_class: "shipped" });
    site.centrifugo.publish("public", { message: "b", event_class: "packed" });
    site.centrifugo.publish("public", { message: "c" });
    await star.holds("a", "b", "c");
    await all.holds("a", "b", "c");
    expect(shipped.texts).toEqual(["a"]);
  });

  test("a broadcast message has the channel of the subscription it arrived on", async () => {
    site.django.rights.set("", ["a", "b"]);
    const instant = site.instant();
    const inbox = new Inbox();
    instant.channel("a").on("*", inbox.add);
    instant.channel("b").on("*", inbox.add);
    await subscribed("a", "b");
    site.centrifugo.publish("a", { site: "Shop", message: "to all" });
    site.centrifugo.publish("b", { site: "Shop", message: "to all" });
    await inbox.holds("to all", "to all");
    expect(inbox.messages.map(({ channel }) => channel)).toEqual(["a", "b"]);
  });

  test("that arrive twice are delivered once", async () => {
    const instant = site.instant();
    const inbox = new Inbox();
    instant.channel("public").on("*", inbox.add);
    await subscribed("public");
    site.centrifugo.publish("public", { message: "one" });
    site.centrifugo.deliverNewest("public");
    site.centrifugo.publish("public", { message: "two" });
    await inbox.holds("one", "two");
  });

  test("the newest message, if it is sent with the subscription, is delivered", async () => {
    site.centrifugo.keepsNewest = true;
    site.centrifugo.publish("public", { message: "old" });
    site.centrifugo.publish("public", { message: "newest" });
    const inbox = new Inbox();
    site.instant().channel("public").on("*", inbox.add);
    await inbox.holds("newest");
    expect(inbox.messages[0]?.recovered).toBe(false);
  });

  test("data that looks like JSON stays text", async () => {
    const instant = site.instant();
    const inbox = new Inbox();
    instant.channel("public").on("*", inbox.add);
    await subscribed("public");
    site.centrifugo.publish("public", { message: "x", data: '{"a": 1}' });
    site.centrifugo.publish("public", '{"message": "y"}');
    site.centrifugo.publish("public", [1, 2]);
    await inbox.holds("x", "", "");
    expect(inbox.messages.map(({ data }) => data)).toEqual(['{"a": 1}', '{"message": "y"}', [1, 2]]);
  });

  test("work on a channel without history", async () => {
    site.centrifugo.keepsHistory = false;
    const instant = site.instant();
    const inbox = new Inbox();
    instant.channel("public").on("*", inbox.add);
    await subscribed("public");
    site.centrifugo.publish("public", { message: "one" });
    await inbox.holds("one");
    expect(inbox.messages[0]).not.toHaveProperty("offset");
    site.centrifugo.cut();
    await subscribed();
    await subscribed("public");
    site.centrifugo.publish("public", { message: "two" });
    await inbox.holds("one", "two");
  });

  test("a listener that throws is reported, and the others are called", async () => {
    const reported: unknown[] = [];
    const later = globalThis.queueMicrotask;
    vi.stubGlobal("queueMicrotask", (run: () => void) => {
      later(() => {
        try {
          run();
        } catch (error) {
          reported.push(error);
        }
      });
    });
    const instant = site.instant();
    const inbox = new Inbox();
    const channel = instant.channel("public");
    const broken = new Error("broken listener");
    channel.on("*", () => {
      throw broken;
    });
    channel.on("*", inbox.add);
    await subscribed("public");
    site.centrifugo.publish("public", { message: "one" });
    site.centrifugo.publish("public", { message: "two" });
    await inbox.holds("one", "two");
    expect(reported).toEqual([broken, broken]);
    expect(instant.status).toBe("live");
  });

  test("a listener that another listener removes is not called", async () => {
    const instant = site.instant();
    const channel = instant.channel("public");
    const seen: InstantMessage[] = [];
    channel.on("*", () => {
      off();
    });
    const off = channel.on("*", (message) => seen.push(message));
    const inbox = new Inbox();
    channel.on("*", inbox.add);
    await subscribed("public");
    site.centrifugo.publish("public", { message: "one" });
    await inbox.holds("one");
    expect(seen).toEqual([]);
  });
});

describe("denied", () => {
  test("a channel that Django does not grant does not affect the others, and is not asked for again", async () => {
    const instant = site.instant();
    const secret = instant.channel("$staff");
    const statuses: string[] = [];
    secret.onStatus((status) => statuses.push(status));
    instant.channel("public").on("*", () => undefined);
    await subscribed("public");
    expect(secret.status).toBe("denied");
    expect(statuses).toEqual(["subscribing", "denied"]);
    await until(instant, "live");
    expect(site.django.views()).toEqual(["get_token"]);
    expect(site.centrifugo.count("subscribe")).toBe(1);
  });

  test("a channel that is denied later does not affect the others", async () => {
    const instant = site.instant();
    await instant.connect();
    const secret = instant.channel("$staff");
    secret.on("*", () => undefined);
    instant.channel("public").on("*", () => undefined);
    await subscribed("public");
    await soon(() => {
      expect(secret.status).toBe("denied");
    });
    expect(site.django.views()).toEqual(["get_token", "subscribe"]);
    expect(instant.status).toBe("live");
  });

  test("a subscription that the server ends is denied", async () => {
    const instant = site.instant();
    const channel = instant.channel("public");
    channel.on("*", () => undefined);
    await subscribed("public");
    site.centrifugo.unsubscribe("public");
    await soon(() => {
      expect(channel.status).toBe("denied");
    });
  });

  test("a subscription that the server asks to renew is renewed with a new token", async () => {
    const instant = site.instant();
    const errors: unknown[] = [];
    instant.on("error", (error) => errors.push(error));
    const channel = instant.channel("public");
    channel.on("*", () => undefined);
    await subscribed("public");
    site.centrifugo.expireTokens(site.django.serial);
    site.centrifugo.unsubscribe("public", 2501);
    await soon(() => {
      expect(site.centrifugo.errors).toEqual([109]);
      expect(channel.status).toBe("live");
    });
    await subscribed("public");
    expect(errors).toEqual([]);
  });

  test("a failed request for a token is repeated and reported", async () => {
    const instant = site.instant();
    const errors: string[] = [];
    instant.on("error", (error) => errors.push(error.name));
    await instant.connect();
    site.django.instead.push({ status: 502, body: "bad gateway" });
    instant.channel("public").on("*", () => undefined);
    await subscribed("public");
    expect(errors).toEqual(["ChannelError"]);
    await until(instant, "live");
  });
});

test.each(["", "x".repeat(256), "é".repeat(128)])("a name that no channel can have throws: %j", (name) => {
  expect(() => site.instant().channel(name)).toThrow(TypeError);
});
