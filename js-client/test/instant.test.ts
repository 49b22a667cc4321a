import { describe, expect, test, vi } from "vitest";

import { ConnectError, RefusedError, SignedOutError, SupersededError } from "../src/errors.js";
import type { Instant } from "../src/instant.js";
import type { InstantOptions } from "../src/options.js";
import type { Status } from "../src/types.js";
import { sign } from "./fake-centrifugo.js";
import { Inbox, soon, until, useSite } from "./site.js";

const site = useSite();
const NAMES = Array.from({ length: 50 }, (_, index) => `room${index.toString()}`);

describe("connecting", () => {
  test("sends nothing before something is used", () => {
    const instant = site.instant();
    instant.channel("public");
    expect(instant.status).toBe("idle");
    expect(instant.channel("public").status).toBe("idle");
    expect(site.django.seen).toEqual([]);
  });

  test("the first listener connects the page and gets messages", async () => {
    const instant = site.instant();
    const statuses: Status[] = [];
    instant.on("status", (status) => statuses.push(status));
    const inbox = new Inbox();
    const channel = instant.channel("public");
    channel.on("*", inbox.add);
    await soon(() => {
      expect(channel.status).toBe("live");
    });
    site.centrifugo.publish("public", {
      channel: "public",
      site: "Shop",
      message: "Hello",
      data: { a: [1] },
      event_class: "greeting",
      bucket: "notices",
    });
    await inbox.holds("Hello");
    expect(inbox.messages[0]).toEqual({
      channel: "public",
      site: "Shop",
      message: "Hello",
      data: { a: [1] },
      eventClass: "greeting",
      bucket: "notices",
      id: "",
      client: "",
      own: false,
      offset: 1,
      recovered: false,
      date: expect.any(Date) as Date,
    });
    expect(statuses).toEqual(["connecting", "live"]);
  });

  test("50 channels that are opened together need one request, and are subscribed once", async () => {
    site.django.rights.set("", NAMES);
    const instant = site.instant();
    for (const name of NAMES) instant.channel(name).on("*", () => undefined);
    await soon(() => {
      expect(site.centrifugo.subscribed).toEqual([...NAMES].sort());
    });
    expect(site.django.seen).toEqual([expect.objectContaining({ view: "get_token", body: { channels: NAMES } })]);
    expect(site.centrifugo.count("subscribe")).toBe(50);
  });

  test("channels that are opened later need one request", async () => {
    site.django.rights.set("", NAMES);
    const instant = site.instant();
    await instant.connect();
    for (const name of NAMES) instant.channel(name).on("*", () => undefined);
    await soon(() => {
      expect(site.centrifugo.subscribed).toHaveLength(50);
    });
    expect(site.django.views()).toEqual(["get_token", "subscribe"]);
    expect(site.django.seen[1]?.body).toEqual({ channels: NAMES });
  });

  test.each([
    ["before", ["get_token"]],
    ["after", ["get_token", "subscribe"]],
  ])("channels that are opened within a few milliseconds %s connecting share a request", async (when, views) => {
    site.django.rights.set("", NAMES);
    const instant = site.instant();
    if (when === "after") await instant.connect();
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    for (const name of NAMES.slice(0, 4)) {
      instant.channel(name).on("*", () => undefined);
      await vi.advanceTimersByTimeAsync(6);
    }
    vi.useRealTimers();
    await soon(() => {
      expect(site.centrifugo.subscribed).toHaveLength(4);
    });
    expect(site.django.views()).toEqual(views);
  });

  test("connect() rejects if the message server is down, and further attempts follow", async () => {
    site.centrifugo.refuses = true;
    const instant = site.instant();
    await expect(instant.connect()).rejects.toBeInstanceOf(ConnectError);
    expect(instant.status).toBe("offline");
    site.centrifugo.refuses = false;
    await until(instant, "live");
  });

  test("connect() while offline makes an attempt and rejects again", async () => {
    site.centrifugo.refuses = true;
    const instant = site.instant();
    await expect(instant.connect()).rejects.toBeInstanceOf(ConnectError);
    await expect(instant.connect()).rejects.toBeInstanceOf(ConnectError);
  });

  test("connect() while offline does not wait for the next attempt", async () => {
    site.centrifugo.refuses = true;
    const instant = site.instant({ reconnectDelay: [60_000, 60_000] });
    await expect(instant.connect()).rejects.toBeInstanceOf(ConnectError);
    site.centrifugo.refuses = false;
    await instant.connect();
    expect(instant.status).toBe("live");
  });

  test("connect() rejects with the cause if Django is down", async () => {
    site.django.instead.push({ status: 500, body: "<h1>Server Error</h1>" });
    const instant = site.instant();
    const failure = await instant.connect().catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(ConnectError);
    expect(String((failure as ConnectError).cause)).toContain("status 500");
    await until(instant, "live");
  });

  test("disconnect() ends a pending connect()", async () => {
    const instant = site.instant();
    const connecting = instant.connect();
    instant.disconnect();
    await expect(connecting).rejects.toBeInstanceOf(ConnectError);
    expect(instant.status).toBe("idle");
  });

  describe("a connection that the server ends for good", () => {
    test.each([3501, 3505, 4501])("with %i is stopped, with an error, until connect()", async (code) => {
      const instant = site.instant();
      const errors: unknown[] = [];
      instant.on("error", (error) => errors.push(error));
      await instant.connect();
      site.centrifugo.cut(code);
      await until(instant, "stopped");
      expect(errors).toEqual([expect.objectContaining({ name: "ConnectError", code })]);
      await expect(instant.channel("public").publish({ message: "x" })).rejects.toThrow("public: stopped");
      expect(site.django.views()).toEqual(["get_token"]);
      await instant.connect();
      expect(instant.status).toBe("live");
    });

    test.each([3500, 3504, 3509])("with %i is tried again: at once with new tokens, then with back-off", async (code) => {
      const instant = site.instant({ reconnectDelay: [20, 1000] });
      const inbox = new Inbox();
      const statuses: Status[] = [];
      const errors: unknown[] = [];
      instant.channel("public").on("*", inbox.add);
      await until(instant, "live");
      await soon(() => {
        expect(instant.channel("public").status).toBe("live");
      });
      instant.on("status", (status) => statuses.push(status));
      instant.on("error", (error) => errors.push(error));
      site.centrifugo.refusal = code;
      site.centrifugo.cut();
      await soon(() => {
        expect(errors.length).toBeGreaterThan(2);
      });
      // It does not flicker while it is tried again.
      expect(statuses).toEqual(["connecting", "offline"]);
      expect(errors[0]).toMatchObject({ name: "ConnectError", code });
      // Each attempt has new tokens, and the first two follow each other at once.
      expect(site.django.seen).toHaveLength(site.centrifugo.count("connect"));
      site.centrifugo.publish("public", { message: "missed" });
      site.centrifugo.refusal = undefined;
      await inbox.holds("missed");
      await until(instant, "live");
    });

    test("is left alone after disconnect(), and tried at once by connect()", async () => {
      const instant = site.instant({ reconnectDelay: [60_000, 60_000] });
      site.centrifugo.refusal = 3500;
      await expect(instant.connect()).rejects.toMatchObject({ name: "ConnectError", cause: { code: 3500 } });
      expect([instant.status, site.centrifugo.count("connect")]).toEqual(["offline", 2]);
      site.centrifugo.refusal = undefined;
      await instant.connect();
      expect(site.centrifugo.count("connect")).toBe(3);
      site.centrifugo.refusal = 3500;
      site.centrifugo.cut(3500);
      await until(instant, "offline");
      const connects = site.centrifugo.count("connect");
      vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
      instant.disconnect();
      await vi.advanceTimersByTimeAsync(200_000);
      vi.useRealTimers();
      expect([instant.status, site.centrifugo.count("connect")]).toEqual(["idle", connects]);
    });
  });
});

describe("reconnecting", () => {
  test("needs one request for 50 channels, and misses nothing", async () => {
    site.django.rights.set("", NAMES);
    const instant = site.instant();
    const inbox = new Inbox();
    for (const name of NAMES) instant.channel(name).on("*", inbox.add);
    await soon(() => {
      expect(NAMES.map((name) => instant.channel(name).status)).toEqual(NAMES.map(() => "live"));
    });
    const before = site.django.seen.length;
    site.centrifugo.expireTokens(site.django.serial);
    site.centrifugo.refuses = true;
    site.centrifugo.cut();
    await until(instant, "offline");
    for (const name of NAMES) site.centrifugo.publish(name, { message: name });
    site.centrifugo.refuses = false;
    await soon(() => {
      expect(inbox.texts.sort()).toEqual([...NAMES].sort());
    });
    expect(site.django.seen.slice(before)).toEqual([
      expect.objectContaining({ view: "get_token", body: { channels: NAMES } }),
    ]);
    // The expired tokens that the SDK keeps were not sent.
    expect(site.centrifugo.errors).toEqual([]);
    expect(inbox.messages.every(({ recovered }) => recovered)).toBe(true);
  });

  test("delivers missed messages once and in order, then new ones", async () => {
    const instant = site.instant();
    const inbox = new Inbox();
    instant.channel("public").on("*", inbox.add);
    await soon(() => {
      expect(site.centrifugo.subscribed).toEqual(["public"]);
    });
    site.centrifugo.publish("public", { message: "one" });
    await inbox.holds("one");
    site.centrifugo.cut();
    site.centrifugo.publish("public", { message: "two" });
    site.centrifugo.publish("public", { message: "three" });
    await inbox.holds("one", "two", "three");
    site.centrifugo.publish("public", { message: "four" });
    await inbox.holds("one", "two", "three", "four");
    expect(inbox.messages.map(({ recovered }) => recovered)).toEqual([false, true, true, false]);
  });

  test("reports a gap that cannot be filled", async () => {
    const instant = site.instant();
    const lost: string[] = [];
    instant.on("lost", ({ channel }) => lost.push(`instant ${channel}`));
    const channel = instant.channel("public");
    const inbox = new Inbox();
    channel.on("*", inbox.add);
    channel.onLost((info) => lost.push(`channel ${info.channel}`));
    await soon(() => {
      expect(channel.status).toBe("live");
    });
    site.centrifugo.publish("public", { message: "before" });
    await inbox.holds("before");
    site.centrifugo.forget();
    site.centrifugo.cut();
    await soon(() => {
      expect(lost).toEqual(["channel public", "instant public"]);
    });
    site.centrifugo.publish("public", { message: "after" });
    await inbox.holds("before", "after");
  });

  test("a token that expired while the server was down is replaced before it is sent", async () => {
    const now = vi.spyOn(Date, "now");
    const instant = site.instant();
    await instant.connect();
    site.centrifugo.refuses = true;
    site.centrifugo.cut();
    await until(instant, "offline");
    const asked = site.django.seen.length;
    site.centrifugo.expireTokens(site.django.serial);
    const later = performance.timeOrigin + performance.now() + 60_000;
    now.mockImplementation(() => later);
    await soon(() => {
      expect(site.django.seen.length).toBeGreaterThan(asked);
    });
    now.mockRestore();
    site.centrifugo.refuses = false;
    await until(instant, "live");
    expect(site.centrifugo.errors).toEqual([]);
  });

  test("a token that expired unnoticed costs one more request, and no connection", async () => {
    const instant = site.instant();
    const told: unknown[] = [];
    instant.on("error", (error) => told.push(error));
    instant.on("status", (status) => told.push(status));
    const channel = instant.channel("public");
    await instant.channels();
    site.centrifugo.expireTokens(site.django.serial);
    channel.on("*", () => undefined);
    await soon(() => {
      expect(channel.status).toBe("live");
    });
    expect(site.centrifugo.errors).toContain(109);
    expect(told).toEqual(["connecting", "live"]);
  });

  test("if all tokens arrive expired, the page is offline with an error", async () => {
    site.django.use = -60;
    const instant = site.instant();
    const failure = await instant.connect().catch((error: unknown) => error);
    expect(failure).toMatchObject({ name: "ConnectError", cause: { code: 109 } });
    site.django.use = 30;
    await until(instant, "live");
  });

  test("a wrong clock in the browser costs no further request", async () => {
    site.django.clockAhead = -7200;
    const instant = site.instant();
    instant.channel("public").on("*", () => undefined);
    await soon(() => {
      expect(site.centrifugo.subscribed).toEqual(["public"]);
    });
    expect(site.django.views()).toEqual(["get_token"]);
  });

  test("a revoked right ends a channel at the next connection, and a granted one starts it", async () => {
    site.django.rights.set("", ["public", "extra"]);
    const instant = site.instant();
    const extra = instant.channel("extra");
    extra.on("*", () => undefined);
    instant.channel("public").on("*", () => undefined);
    await soon(() => {
      expect(site.centrifugo.subscribed).toEqual(["extra", "public"]);
    });
    site.django.rights.set("", ["public"]);
    site.centrifugo.cut(4000);
    await soon(() => {
      expect(extra.status).toBe("denied");
      expect(site.centrifugo.subscribed).toEqual(["public"]);
    });
    site.django.rights.set("", ["public", "extra"]);
    site.centrifugo.cut(4000);
    await soon(() => {
      expect(site.centrifugo.subscribed).toEqual(["extra", "public"]);
    });
    expect(site.centrifugo.errors).toEqual([]);
  });
});

describe("before the end of its life", () => {
  test("a connection is refreshed", async () => {
    site.django.connectionLife = 1;
    const instant = site.instant();
    instant.channel("public").on("*", () => undefined);
    await soon(() => {
      expect(site.centrifugo.count("refresh")).toBeGreaterThan(0);
    });
    expect(site.django.views()).toEqual(["get_token", "get_token"]);
    expect(site.django.seen[1]?.body).toEqual({ channels: [], refresh: true });
    expect(site.centrifugo.count("connect")).toBe(1);
    expect(instant.status).toBe("live");
  });

  test("a subscription is refreshed", async () => {
    site.django.channelLife = 1;
    const instant = site.instant();
    instant.channel("public").on("*", () => undefined);
    await soon(() => {
      expect(site.centrifugo.count("sub_refresh")).toBeGreaterThan(0);
    });
    expect(site.django.views()).toEqual(["get_token", "subscribe"]);
    expect(instant.channel("public").status).toBe("live");
  });

  test("a connection whose session has ended is signed-out", async () => {
    site.django.connectionLife = 1;
    const instant = site.instant();
    await instant.login("anna", "secret-of-anna").catch(() => undefined);
    site.django.rights.set("anna", ["$users"]);
    await instant.login("anna", "secret-of-anna");
    await instant.connect();
    site.django.rights.delete("");
    site.django.user = "";
    await until(instant, "signed-out");
  });
});

describe("the user", () => {
  test("a page that Django refuses is signed-out, and makes no further attempt", async () => {
    site.django.rights.delete("");
    const instant = site.instant();
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    await expect(instant.connect()).rejects.toBeInstanceOf(SignedOutError);
    expect(instant.status).toBe("signed-out");
    instant.channel("public").on("*", () => undefined);
    await vi.advanceTimersByTimeAsync(60_000);
    vi.useRealTimers();
    expect(site.django.views()).toEqual(["get_token"]);
    expect(site.centrifugo.received).toEqual([]);
  });

  test("a page that Django refuses channels to is signed-out too", async () => {
    const instant = site.instant();
    await instant.connect();
    site.django.rights.delete("");
    instant.channel("public").on("*", () => undefined);
    await until(instant, "signed-out");
    site.django.rights.set("", ["public"]);
    await instant.connect();
    site.django.rights.delete("");
    await expect(instant.channels()).rejects.toBeInstanceOf(SignedOutError);
    expect(instant.status).toBe("signed-out");
    await soon(() => {
      expect(site.centrifugo.users).toEqual([]);
    });
  });

  test("a page whose session has expired is signed-out, and does not become anonymous", async () => {
    site.django.rights.set("anna", ["public", "$users"]);
    site.django.user = "anna";
    const instant = site.instant();
    instant.channel("public").on("*", () => undefined);
    await until(instant, "live");
    site.django.user = "";
    site.centrifugo.cut();
    await until(instant, "signed-out");
    expect(site.centrifugo.count("connect")).toBe(1);
    await instant.refresh();
    expect(site.centrifugo.users).toEqual([""]);
  });

  describe("a user whom Django refuses", () => {
    /** Opens a page of a user who is signed in. */
    async function open(options?: InstantOptions): Promise<{ instant: Instant; statuses: Status[] }> {
      site.django.rights.set("anna", ["public", "late"]);
      site.django.user = "anna";
      const instant = site.instant(options);
      instant.channel("public").on("*", () => undefined);
      await until(instant, "live");
      await soon(() => {
        expect(instant.channel("public").status).toBe("live");
      });
      site.django.seen.length = 0;
      const statuses: Status[] = [];
      instant.on("status", (status) => statuses.push(status));
      return { instant, statuses };
    }
    const refusal = { status: 403, body: { error: "log in first" } };

    test("once stays signed in, because a request may be about to renew the session", async () => {
      const { instant, statuses } = await open();
      site.django.instead.push(refusal);
      site.centrifugo.cut();
      await soon(() => {
        expect(site.django.views()).toEqual(["get_token", "get_token"]);
        expect(statuses.at(-1)).toBe("live");
      });
      expect([site.centrifugo.users, statuses]).toEqual([["anna"], ["connecting", "catching-up", "live"]]);
      // The same with channels that are added.
      site.django.instead.push(refusal);
      instant.channel("late").on("*", () => undefined);
      await soon(() => {
        expect(instant.channel("late").status).toBe("live");
      });
      // And with a list.
      site.django.instead.push(refusal);
      expect(await instant.channels()).toHaveLength(2);
      expect(statuses).toEqual(["connecting", "catching-up", "live"]);
    });

    test("as anonymous stays signed in likewise", async () => {
      const { statuses } = await open();
      const ws_token = sign({ sub: "", exp: Date.now() / 1000 + 30, expire_at: 0, serial: 0 });
      site.django.instead.push({ status: 200, body: { ws_token, url: site.centrifugo.url, channels: [] } });
      site.centrifugo.cut();
      await soon(() => {
        expect(statuses).toEqual(["connecting", "catching-up", "live"]);
      });
      expect(site.centrifugo.users).toEqual(["anna"]);
    });

    test("twice is signed-out, a moment later", async () => {
      const { instant, statuses } = await open({ reconnectDelay: [5, 20_000] });
      vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
      site.django.user = "";
      site.centrifugo.cut(4000);
      await soon(() => {
        expect(site.django.views()).toEqual(["get_token"]);
      });
      await vi.advanceTimersByTimeAsync(2000);
      expect(statuses).toEqual(["connecting"]);
      await vi.advanceTimersByTimeAsync(1000);
      vi.useRealTimers();
      await until(instant, "signed-out");
      expect(site.django.views()).toEqual(["get_token", "get_token"]);
    });

    test("is not asked for again after disconnect()", async () => {
      const { instant } = await open({ reconnectDelay: [5, 20_000] });
      vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
      site.django.instead.push(refusal);
      site.centrifugo.cut(4000);
      await soon(() => {
        expect(site.django.views()).toEqual(["get_token"]);
      });
      instant.disconnect();
      await vi.advanceTimersByTimeAsync(5000);
      vi.useRealTimers();
      // Whatever was sent before this has arrived before it.
      await instant.channels();
      expect(site.django.views()).toEqual(["get_token", "get_token"]);
    });
  });

  test("login() subscribes to channels that were denied, logout() closes the connection", async () => {
    site.django.rights.set("anna", ["public", "$users"]);
    const instant = site.instant();
    const inner = instant.channel("$users");
    inner.on("*", () => undefined);
    instant.channel("public").on("*", () => undefined);
    await soon(() => {
      expect(inner.status).toBe("denied");
      expect(instant.channel("public").status).toBe("live");
    });
    await expect(instant.login("anna", "wrong")).rejects.toBeInstanceOf(RefusedError);
    expect(await instant.login("anna", "secret-of-anna")).toEqual([
      { name: "$users", level: "users" },
      { name: "public", level: "public" },
    ]);
    await soon(() => {
      expect(site.centrifugo.subscribed).toEqual(["$users", "public"]);
    });
    expect(site.centrifugo.users).toEqual(["anna"]);
    await instant.logout();
    expect(instant.status).toBe("signed-out");
    await soon(() => {
      expect(site.centrifugo.users).toEqual([]);
    });
    expect(site.django.views().at(-1)).toBe("logout");
  });

  test("login() connects as the new user also without channels", async () => {
    site.django.rights.set("anna", []);
    const instant = site.instant();
    await instant.connect();
    expect(site.centrifugo.users).toEqual([""]);
    await instant.login("anna", "secret-of-anna");
    await soon(() => {
      expect(site.centrifugo.users).toEqual(["anna"]);
    });
    expect(site.django.views()).toEqual(["get_token", "login"]);
    expect(site.centrifugo.errors).toEqual([]);
  });

  test("an answer for the user before a login is ignored", async () => {
    site.django.rights.set("anna", ["$users"]);
    const instant = site.instant();
    let release = (): void => undefined;
    site.django.gate = new Promise((resolve) => {
      release = resolve;
    });
    const listing = instant.channels().catch((error: unknown) => error);
    instant.channel("$users").on("*", () => undefined);
    await soon(() => {
      expect(site.django.views()).toEqual(["get_token", "get_token"]);
    });
    site.django.gate = Promise.resolve();
    await instant.login("anna", "secret-of-anna");
    release();
    expect(await listing).toBeInstanceOf(SupersededError);
    await soon(() => {
      expect(site.centrifugo.subscribed).toEqual(["$users"]);
    });
    expect(site.centrifugo.users).toEqual(["anna"]);
    await until(instant, "live");
  });

  test.each([
    ["the first", 1, (instant: Instant) => instant.refresh()],
    ["the second", 2, (instant: Instant) => instant.login("anna", "secret-of-anna")],
  ])("a refusal of the user before does not sign out the one who has just logged in (%s)", async (_which, refusals, enter) => {
    site.django.rights.set("anna", ["public"]);
    site.django.user = "anna";
    const instant = site.instant({ reconnectDelay: [5, 400] });
    const statuses: Status[] = [];
    await instant.connect();
    instant.on("status", (status) => statuses.push(status));
    const seen = site.django.seen.length;
    for (let n = 0; n < refusals; n += 1) site.django.instead.push({ status: 403, body: { error: "log in first" } });
    let release = (): void => undefined;
    const hold = (): void => void (site.django.gate = new Promise((resolve) => (release = resolve)));
    if (refusals === 1) hold();
    const listing = instant.channels().catch((error: unknown) => error);
    await soon(() => {
      expect(site.django.seen).toHaveLength(seen + 1);
    });
    if (refusals === 2) hold(); // for the second look
    await soon(() => {
      expect(site.django.seen).toHaveLength(seen + refusals);
    });
    const releaseRefusal = release;
    if (refusals === 1) hold();
    else site.django.gate = Promise.resolve();
    const entering = enter(instant);
    if (refusals === 2) await entering;
    else {
      await soon(() => {
        expect(site.django.seen).toHaveLength(seen + 2);
      });
    }
    releaseRefusal();
    expect(await listing).toBeInstanceOf(SupersededError);
    release();
    await entering;
    await until(instant, "live");
    expect(statuses).not.toContain("signed-out");
  });

  test("another user in the same browser gets a new connection", async () => {
    site.django.rights.set("anna", ["public"]);
    site.django.rights.set("ben", ["public", "late"]);
    site.django.user = "anna";
    const instant = site.instant();
    instant.channel("public").on("*", () => undefined);
    const errors: unknown[] = [];
    instant.on("error", (error) => errors.push(error));
    await until(instant, "live");
    site.django.user = "ben";
    instant.channel("late").on("*", () => undefined);
    await soon(() => {
      expect(site.centrifugo.users).toEqual(["ben"]);
      expect(site.centrifugo.subscribed).toEqual(["late", "public"]);
    });
    expect(errors).toEqual([]);
    // The page noticed it before the server did.
    expect(site.centrifugo.errors).toEqual([]);
  });

  test.each([3503, 3507])("a user whose connection the server ended with %i is signed-out", async (code) => {
    const instant = site.instant();
    await instant.connect();
    site.centrifugo.cut(code);
    await until(instant, "signed-out");
  });

  test("a failed logout changes nothing", async () => {
    const instant = site.instant();
    await instant.connect();
    site.django.instead.push({ status: 500, body: "broken" });
    await expect(instant.logout()).rejects.toThrow("logout");
    expect(instant.status).toBe("live");
  });
});

test("channels() lists all pages, each channel once", async () => {
  site.django.rights.set("", NAMES);
  site.django.pageSize = 20;
  const instant = site.instant();
  const names = (await instant.channels()).map(({ name }) => name);
  expect(names.sort()).toEqual([...NAMES].sort());
  expect(site.django.views()).toEqual(["get_token", "subscribe", "subscribe"]);
});

test("channels() ends if a page contains nothing new", async () => {
  const page = { channels: [{ name: "a", level: "public", token: "t" }], next: "a" };
  const connection = { ...page, ws_token: "t", csrf_token: "c" };
  site.django.instead.push({ status: 200, body: connection }, { status: 200, body: page }, { status: 200, body: page });
  await expect(site.instant().channels()).resolves.toEqual([{ name: "a", level: "public" }]);
  expect(site.django.views()).toEqual(["get_token", "subscribe"]);
});
