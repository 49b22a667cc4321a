/** Channels that need no token, because the message server asks Django itself. */
import { expect, test } from "vitest";

import type { Instant } from "../src/instant.js";
import { Inbox, soon, until, useSite } from "./site.js";

const site = useSite();

/** Opens a page whose namespace `order` needs no token. */
function page(): Instant {
  site.centrifugo.tokenless.add("order");
  return site.instant({ tokenless: ["order"] });
}

test("they are subscribed to without a token, and Django is not asked for one", async () => {
  const instant = page();
  const [inbox, other] = [new Inbox(), new Inbox()];
  instant.channel("order:1").on("*", inbox.add);
  instant.channel("public").on("*", other.add);
  await soon(() => {
    expect(site.centrifugo.subscribed).toEqual(["order:1", "public"]);
  });
  instant.channel("order:2").on("*", inbox.add);
  await soon(() => {
    expect(instant.channel("order:2").status).toBe("live");
  });
  site.centrifugo.publish("order:1", { message: "one" });
  await inbox.holds("one");
  site.centrifugo.cut();
  site.centrifugo.publish("order:1", { message: "missed" });
  site.centrifugo.publish("public", { message: "missed too" });
  await inbox.holds("one", "missed");
  await other.holds("missed too");
  expect(inbox.messages.map(({ recovered }) => recovered)).toEqual([false, true]);
  expect(site.django.seen.map(({ view, body }) => [view, body])).toEqual([
    ["get_token", { channels: ["public"] }],
    ["get_token", { channels: ["public"] }],
  ]);
});

test("a namespace is the whole part before the first colon", async () => {
  const instant = page();
  for (const name of ["order", "orders:1", "$order:1", "a:order:1"]) instant.channel(name).on("*", () => undefined);
  instant.channel("order:1:2").on("*", () => undefined);
  await soon(() => {
    expect(site.centrifugo.subscribed).toEqual(["order:1:2"]);
  });
  expect(site.django.seen[0]?.body).toEqual({ channels: ["order", "orders:1", "$order:1", "a:order:1"] });
});

test.each([403, 103])("a channel that is refused with %i is denied, and tried again with the next connection", async (code) => {
  const instant = page();
  site.centrifugo.refused.set("order:1", code);
  const [order, other] = [instant.channel("order:1"), instant.channel("order:2")];
  order.on("*", () => undefined);
  other.on("*", () => undefined);
  await soon(() => {
    expect([order.status, order.denial, other.status]).toEqual(["denied", "refused", "live"]);
  });
  await until(instant, "live");
  site.centrifugo.refused.clear();
  site.centrifugo.cut();
  await soon(() => {
    expect(order.status).toBe("live");
  });
  site.centrifugo.refused.set("order:1", code);
  site.centrifugo.cut();
  await soon(() => {
    expect([order.status, order.denial]).toEqual(["denied", "revoked"]);
  });
});

test("one that the server ends is revoked, and one that it asks to renew is renewed", async () => {
  const instant = page();
  const order = instant.channel("order:1");
  order.on("*", () => undefined);
  await soon(() => {
    expect(order.status).toBe("live");
  });
  const asked = site.centrifugo.count("subscribe");
  site.centrifugo.unsubscribe("order:1", 2501);
  await soon(() => {
    expect(site.centrifugo.count("subscribe")).toBe(asked + 1);
    expect(order.status).toBe("live");
  });
  site.centrifugo.unsubscribe("order:1");
  await soon(() => {
    expect(order.denial).toBe("revoked");
  });
});

test("channels() lists them with their rights, and they can be subscribed to", async () => {
  const instant = page();
  const channels = [{ name: "order:1", level: "users", rights: ["presence"] }];
  const token = { ws_token: "a.b.c", exp: Date.now() / 1000 + 30, url: site.centrifugo.url };
  site.django.instead.push({ status: 200, body: { ...token, channels, next: null } });
  expect(await instant.channels()).toEqual([{ name: "order:1", level: "users" }]);
  const order = instant.channel("order:1");
  expect(order.rights).toEqual(["presence"]);
  await instant.refresh();
  order.on("*", () => undefined);
  await soon(() => {
    expect(order.status).toBe("live");
  });
  expect(site.django.views()).toEqual(["get_token", "get_token"]);
});

test("login() subscribes to them again as the new user", async () => {
  site.django.rights.set("anna", []);
  const instant = page();
  site.centrifugo.refused.set("order:1", 403);
  const order = instant.channel("order:1");
  order.on("*", () => undefined);
  await soon(() => {
    expect(order.status).toBe("denied");
  });
  site.centrifugo.refused.clear();
  await instant.login("anna", "secret-of-anna");
  await soon(() => {
    expect(order.status).toBe("live");
  });
  expect(site.centrifugo.users).toEqual(["anna"]);
});
