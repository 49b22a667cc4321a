import { beforeEach, expect, test } from "vitest";

import { checkSize } from "../src/calls/publish.js";
import { resolveConfig } from "../src/config.js";
import { Connection } from "../src/connection.js";
import type { Instant } from "../src/instant.js";
import type { Presence } from "../src/types.js";
import { Inbox, soon, until, useSite } from "./site.js";

const site = useSite();
const NAMES = ["$users", "news", "order:42", "$order:x"];
const ON_SERVER = ["$acme/users", "acme/news", "order:acme/42", "$order:acme/x"];

beforeEach(() => {
  site.django.prefix = "acme/";
  site.django.rights.set("", NAMES);
  site.django.rights.set("7", NAMES);
  site.django.user = "7";
});

function page(): Instant {
  return site.instant({ prefix: "acme/" });
}

test("channels have other names on the message server than in the page", async () => {
  const instant = page();
  const inbox = new Inbox();
  for (const name of NAMES) instant.channel(name).on("*", inbox.add);
  await until(instant, "live");
  expect(site.centrifugo.subscribed).toEqual([...ON_SERVER].sort());
  expect(site.centrifugo.errors).toEqual([]);
  for (const name of ON_SERVER) site.centrifugo.publish(name, { message: name });
  await inbox.holds(...ON_SERVER);
  expect(inbox.messages.map(({ channel }) => channel)).toEqual(NAMES);
  expect((await instant.channels()).map(({ name }) => name)).toEqual([...NAMES].sort());
});

test("a state has the tenant's own names", async () => {
  site.django.states.set("order:42", () => ({ ...site.centrifugo.position("order:acme/42"), data: "placed" }));
  const instant = page();
  const drawn: unknown[] = [];
  instant.channel("order:42").state((state) => drawn.push(state));
  await instant.channel("order:42").subscribed();
  site.centrifugo.publish("order:acme/42", { data: "packed" });
  await soon(() => {
    expect(drawn).toEqual(["placed", "packed"]);
  });
  expect(site.django.seen.filter(({ view }) => view === "snapshot").map(({ body }) => body)).toEqual([{ channels: ["order:42"] }]);
});

test("a channel without a token is the tenant's too", async () => {
  site.centrifugo.tokenless.add("doc");
  const instant = site.instant({ prefix: "acme/", tokenless: ["doc"] });
  instant.channel("doc:1").on("*", () => undefined);
  await until(instant, "live");
  expect(site.centrifugo.subscribed).toEqual(["doc:acme/1"]);
});

test("users have their own names in presence, joins and the event for another user", async () => {
  const instant = page();
  const users: string[] = [];
  const told: Presence[] = [];
  instant.on("user", (user) => users.push(user));
  instant.channel("news").onPresence((presence) => told.push(presence));
  await soon(() => {
    expect(told.at(-1)?.people.map(({ user }) => user)).toEqual(["7"]);
  });
  expect((await instant.channel("news").presence()).map(({ user }) => user)).toEqual(["7"]);
  site.django.rights.set("8", NAMES);
  site.django.user = "8";
  const other = page();
  other.channel("news").on("*", () => undefined);
  await soon(() => {
    expect(told.at(-1)?.joined.map(({ user }) => user)).toEqual(["8"]);
  });
  other.disconnect();
  await soon(() => {
    expect(told.at(-1)?.left.map(({ user }) => user)).toEqual(["8"]);
  });
  site.centrifugo.cut();
  await soon(() => {
    expect(users).toEqual(["8"]);
  });
});

test("an anonymous visitor has no name", async () => {
  site.django.user = "";
  const instant = page();
  const people = await instant.channel("news").presence();
  expect(people.map(({ user }) => user)).toEqual([""]);
});

test("Django is asked where the message server may not answer", async () => {
  site.centrifugo.permits = false;
  site.django.told.set("presence news", { clients: { c: { user: "7" } } });
  site.django.told.set("history news", { publications: [{ data: { message: "old" }, offset: 1 }], offset: 1, epoch: "e" });
  const channel = page().channel("news");
  expect((await channel.presence()).map(({ user }) => user)).toEqual(["7"]);
  expect((await channel.history()).messages).toMatchObject([{ message: "old", channel: "news" }]);
});

test("the length of the tenant's name counts where a message may be too large", () => {
  const fits = (prefix: string, length: number): boolean => {
    const connection = new Connection(resolveConfig({ ...site.options, prefix, sizeLimit: 400 }), "tab");
    try {
      checkSize(connection, "news", { message: "x".repeat(length) });
    } catch (error) {
      expect(error).toMatchObject({ channel: "news", code: 1009 });
      return false;
    }
    return true;
  };
  let longest = 0;
  while (fits("", longest + 1)) longest += 1;
  expect(fits("acme/", longest - 5)).toBe(true);
  expect(fits("acme/", longest - 4)).toBe(false);
});
