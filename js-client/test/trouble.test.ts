/** Unusual cases: many disconnects, publications in other formats, unusable answers, mistakes in the set-up. */
import { describe, expect, test, vi } from "vitest";

import type { InstantError } from "../src/errors.js";
import type { Instant } from "../src/instant.js";
import type { Presence } from "../src/types.js";
import { Inbox, soon, until, useSite } from "./site.js";

const site = useSite();

function errorsOf(instant: Instant): InstantError[] {
  const errors: InstantError[] = [];
  instant.on("error", (error) => errors.push(error));
  return errors;
}

async function join(instant: Instant, name: string, inbox = new Inbox()): Promise<Inbox> {
  const channel = instant.channel(name);
  channel.on("*", inbox.add);
  await soon(() => {
    expect(channel.status).toBe("live");
  });
  return inbox;
}

describe("publications in other formats", () => {
  test.each([null, "text", 5, true, [1], { order: 42 }, { id: 7, nested: { id: "x" } }])("%j is data", async (content) => {
    const inbox = await join(site.instant(), "public");
    site.centrifugo.publish("public", content);
    await inbox.holds("");
    expect(inbox.messages[0]).toMatchObject({ channel: "public", data: content, message: "", eventClass: "", id: "", own: false });
  });

  test("an id in them is data: nothing is dropped for it", async () => {
    const inbox = await join(site.instant(), "public");
    site.centrifugo.publish("public", { id: "42", status: "packed" });
    site.centrifugo.publish("public", { id: "42", status: "shipped" });
    await soon(() => {
      expect(inbox.messages.map(({ data }) => data)).toEqual([
        { id: "42", status: "packed" },
        { id: "42", status: "shipped" },
      ]);
    });
  });

  test("values of a wrong type are ignored", async () => {
    const inbox = await join(site.instant(), "public");
    site.centrifugo.publish("public", { site: 1, message: { deep: [1] }, event_class: 5, bucket: null, id: {}, tab: [] });
    await inbox.holds("");
    expect(inbox.messages[0]).toMatchObject({ message: "", data: undefined, eventClass: "", bucket: "", site: "", id: "", own: false });
  });
});

test("after many disconnects the page is live, with each message once and one request for each connection", async () => {
  const { centrifugo, django } = site;
  const instant = site.instant();
  const inbox = await join(instant, "public");
  const before = django.seen.length;
  const texts: string[] = [];
  for (let round = 0; round < 20; round += 1) {
    texts.push(round.toString());
    centrifugo.publish("public", { message: round.toString() });
    const connects = centrifugo.count("connect");
    // Twice, because the second may hit a connection that is being opened.
    centrifugo.cut(4000);
    centrifugo.cut(4000);
    await soon(() => {
      expect(centrifugo.count("connect")).toBeGreaterThan(connects);
    });
  }
  await inbox.holds(...texts);
  await until(instant, "live");
  expect(django.seen.length - before).toBeLessThanOrEqual(centrifugo.count("connect"));
});

test("a channel that cannot be subscribed to because of a mistake is denied and reported", async () => {
  const { centrifugo } = site;
  centrifugo.tokenless.add("room");
  centrifugo.refused.set("room:1", 102).set("room:2", 106).set("room:3", 103).set("room:4", 403);
  const instant = site.instant({ tokenless: ["room"] });
  const errors = errorsOf(instant);
  const channels = ["room:1", "room:2", "room:3", "room:4"].map((name) => instant.channel(name));
  for (const channel of channels) channel.on("*", () => undefined);
  await soon(() => {
    expect(channels.map(({ status }) => status)).toEqual(["denied", "denied", "denied", "denied"]);
  });
  // The other two codes are refusals.
  expect(errors).toMatchObject([
    { name: "ChannelError", channel: "room:1", code: 102 },
    { name: "ChannelError", channel: "room:2", code: 106 },
  ]);
});

describe("a channel about which Django cannot decide now", () => {
  test("is not denied, and asked for again until Django can", async () => {
    const { django } = site;
    django.unknown.add("public");
    const instant = site.instant();
    const errors = errorsOf(instant);
    const channel = instant.channel("public");
    const statuses: string[] = [];
    channel.onStatus((status) => statuses.push(status));
    const inbox = new Inbox();
    channel.on("*", inbox.add);
    await soon(() => {
      expect(django.seen.length).toBeGreaterThan(3);
    });
    expect([instant.status, channel.status]).toEqual(["live", "subscribing"]);
    expect(errors[0]).toMatchObject({ name: "ChannelError", channel: "public", message: expect.stringContaining("not decide") as string });
    django.unknown.clear();
    await soon(() => {
      expect(channel.status).toBe("live");
    });
    expect(statuses).toEqual(["subscribing", "live"]);
    expect(django.views().slice(0, 3)).toEqual(["get_token", "subscribe", "subscribe"]);
    // More and more time is left between the questions.
    expect(django.seen.length).toBeLessThan(30);
  });

  test("keeps what the page knew of it, through a reconnect", async () => {
    const { centrifugo, django } = site;
    django.rights.set("", ["public", "other"]);
    django.abilities.set("public", ["publish"]);
    const instant = site.instant();
    const inbox = await join(instant, "public");
    await join(instant, "other");
    const channel = instant.channel("public");
    const statuses: string[] = [];
    channel.onStatus((status) => statuses.push(status));
    django.unknown.add("public");
    centrifugo.expireTokens(django.serial);
    centrifugo.cut();
    centrifugo.publish("public", { message: "missed" });
    await soon(() => {
      expect(instant.channel("other").status).toBe("live");
      expect(django.views().filter((view) => view === "subscribe").length).toBeGreaterThan(1);
    });
    expect([instant.status, channel.status, channel.rights]).toEqual(["catching-up", "subscribing", ["publish"]]);
    django.unknown.clear();
    await inbox.holds("missed");
    expect(statuses).toEqual(["subscribing", "live"]);
  });

  test("that was denied before is asked for again too", async () => {
    const { centrifugo, django } = site;
    const instant = site.instant();
    await join(instant, "public");
    const channel = instant.channel("late");
    channel.on("*", () => undefined);
    await soon(() => {
      expect(channel.status).toBe("denied");
    });
    django.unknown.add("late");
    django.rights.get("")?.push("late");
    centrifugo.cut();
    await soon(() => {
      expect(channel.status).toBe("subscribing");
    });
    django.unknown.clear();
    await soon(() => {
      expect(channel.status).toBe("live");
    });
  });
});

describe("too many failed logins", () => {
  test("are reported with the seconds to wait", async () => {
    const error = "Too many failed logins. Try again in 7 seconds.";
    site.django.instead.push({ status: 429, body: { error }, headers: { "Retry-After": "7" } });
    await expect(site.instant().login("anna", "wrong")).rejects.toMatchObject({
      name: "ReplyError",
      status: 429,
      retryAfter: 7,
      message: `login: ${error}`,
    });
  });

  test.each([{}, { "Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT" }])("%j names no seconds", async (headers) => {
    site.django.instead.push({ status: 503, body: "<h1>", headers });
    await expect(site.instant().login("anna", "wrong")).rejects.toMatchObject({ status: 503, retryAfter: undefined });
  });
});

describe("presence", () => {
  test("is loaded again with the next join, if the first answer was an error", async () => {
    const { centrifugo } = site;
    centrifugo.permits = false;
    const instant = site.instant();
    const errors = errorsOf(instant);
    const heard: Presence[] = [];
    instant.channel("public").onPresence((presence) => heard.push(presence));
    await soon(() => {
      expect(errors).toHaveLength(1);
    });
    centrifugo.permits = true;
    expect(heard).toEqual([]);
    await join(site.instant(), "public");
    await soon(() => {
      expect(heard.at(-1)?.people).toMatchObject([{ user: "", connections: 2 }]);
    });
    expect(errors).toHaveLength(1);
  });

  test("joins during a failed load do not prevent the next load", async () => {
    const { centrifugo } = site;
    centrifugo.permits = false;
    const instant = site.instant();
    const errors = errorsOf(instant);
    const listener = vi.fn();
    instant.channel("public").onPresence(listener);
    for (const count of [1, 2, 3]) {
      await soon(() => {
        expect(errors).toHaveLength(count);
      });
      // Each join loads it again, because the load before has failed.
      await join(site.instant(), "public");
    }
    expect(listener).not.toHaveBeenCalled();
  });
});
