/** The status of the connection and of channels. */
import { describe, expect, test, vi } from "vitest";

import type { Instant } from "../src/instant.js";
import type { ChannelStatus, Status } from "../src/types.js";
import { Inbox, soon, until, useSite } from "./site.js";

const site = useSite();

function follow(instant: Instant): Status[] {
  const seen: Status[] = [];
  instant.on("status", (status) => seen.push(status));
  return seen;
}

describe("catching-up", () => {
  test("lasts until every channel has its missed messages", async () => {
    site.django.rights.set("", ["a", "b"]);
    const instant = site.instant();
    const [a, b] = [new Inbox(), new Inbox()];
    instant.channel("a").on("*", a.add);
    instant.channel("b").on("*", b.add);
    await soon(() => {
      expect([instant.channel("a").status, instant.channel("b").status]).toEqual(["live", "live"]);
    });
    const seen: string[] = [];
    instant.on("status", (status) => seen.push(status));
    instant.channel("a").on("*", ({ message }) => seen.push(message));
    instant.channel("b").on("*", ({ message }) => seen.push(message));
    site.centrifugo.cut();
    site.centrifugo.publish("a", { message: "missed a" });
    site.centrifugo.publish("b", { message: "missed b" });
    await soon(() => {
      expect(seen.at(-1)).toBe("live");
    });
    expect(seen).toEqual(["connecting", "catching-up", "missed a", "missed b", "live"]);
    expect(instant.channel("a").status).toBe("live");
  });

  test("does not wait for channels that are denied or new", async () => {
    site.django.rights.set("", ["a", "b"]);
    const instant = site.instant();
    instant.channel("a").on("*", () => undefined);
    instant.channel("b").on("*", () => undefined);
    await soon(() => {
      expect([instant.channel("a").status, instant.channel("b").status]).toEqual(["live", "live"]);
    });
    site.django.rights.set("", ["a"]);
    const seen = follow(instant);
    site.centrifugo.cut();
    await soon(() => {
      expect(seen).toEqual(["connecting", "catching-up", "live"]);
    });
    instant.channel("c").on("*", () => undefined);
    await soon(() => {
      expect(instant.channel("c").status).toBe("denied");
    });
    expect(seen).toEqual(["connecting", "catching-up", "live"]);
  });

  test("is enough for connect()", async () => {
    const instant = site.instant();
    instant.channel("public").on("*", () => undefined);
    await until(instant, "live");
    await soon(() => {
      expect(instant.channel("public").status).toBe("live");
    });
    instant.disconnect();
    const seen = follow(instant);
    await instant.connect();
    expect(seen).toEqual(["connecting", "catching-up"]);
    await until(instant, "live");
  });
});

describe("offline", () => {
  test("is set at once if the browser knows that there is no network", async () => {
    const instant = site.instant();
    await instant.connect();
    vi.stubGlobal("navigator", { onLine: false });
    const seen = follow(instant);
    site.centrifugo.cut();
    await soon(() => {
      expect(seen).toEqual(["offline", "live"]);
    });
  });
});

describe("a denied channel", () => {
  test("is revoked if the page was subscribed before, else refused", async () => {
    site.django.rights.set("", ["public", "extra"]);
    const instant = site.instant();
    const [never, had] = [instant.channel("$staff"), instant.channel("extra")];
    never.on("*", () => undefined);
    had.on("*", () => undefined);
    instant.channel("public").on("*", () => undefined);
    await soon(() => {
      expect([never.status, never.denial, had.status, had.denial]).toEqual(["denied", "refused", "live", undefined]);
    });
    site.django.rights.set("", ["public"]);
    const heard: unknown[] = [];
    had.onStatus((status) => heard.push([status, had.denial]));
    site.centrifugo.cut(4000);
    await soon(() => {
      expect(heard.at(-1)).toEqual(["denied", "revoked"]);
    });
    await until(instant, "live");
    site.django.rights.set("", ["public", "extra"]);
    site.centrifugo.cut(4000);
    await soon(() => {
      expect([had.status, had.denial]).toEqual(["live", undefined]);
    });
    site.centrifugo.unsubscribe("extra");
    await soon(() => {
      expect([had.status, had.denial]).toEqual(["denied", "revoked"]);
    });
  });
});

describe("a channel with a gap", () => {
  async function gap(channel: { status: ChannelStatus; on: ReturnType<Instant["channel"]>["on"] }): Promise<void> {
    const inbox = new Inbox();
    channel.on("*", inbox.add);
    await soon(() => {
      expect(channel.status).toBe("live");
    });
    site.centrifugo.publish("public", { message: "before" });
    await inbox.holds("before");
    site.centrifugo.forget();
    site.centrifugo.cut();
  }

  test("is lost until the state is loaded again", async () => {
    const instant = site.instant();
    const channel = instant.channel("public");
    let loaded = (): void => undefined;
    const loading = new Promise<void>((resolve) => (loaded = resolve));
    channel.onLost(() => loading);
    await gap(channel);
    await soon(() => {
      expect([channel.status, instant.status]).toEqual(["lost", "live"]);
    });
    loaded();
    await soon(() => {
      expect(channel.status).toBe("live");
    });
  });

  test("stays lost without a listener, after a failed load, and through a reconnect", async () => {
    const instant = site.instant();
    const channel = instant.channel("public");
    await gap(channel);
    await soon(() => {
      expect(channel.status).toBe("lost");
    });
    const statuses: ChannelStatus[] = [];
    channel.onStatus((status) => statuses.push(status));
    const errors: unknown[] = [];
    instant.on("error", (error) => errors.push(error));
    site.centrifugo.cut();
    await soon(() => {
      expect(statuses).toEqual(["subscribing", "lost"]);
    });
    const off = channel.onLost(() => Promise.reject(new Error("the state is away too")));
    site.centrifugo.forget();
    site.centrifugo.epoch = "third";
    site.centrifugo.cut();
    await soon(() => {
      expect(errors).toEqual([expect.objectContaining({ name: "ChannelError", message: "the state is away too" })]);
    });
    expect(channel.status).toBe("lost");
    off();
    channel.onLost(() => undefined);
    site.centrifugo.epoch = "fourth";
    site.centrifugo.cut();
    await soon(() => {
      expect(channel.status).toBe("live");
    });
  });

  test("is told by Django, when it could not reach the server, and not by a page", async () => {
    const instant = site.instant();
    const channel = instant.channel("public");
    const inbox = new Inbox();
    channel.on("*", inbox.add);
    await soon(() => {
      expect(channel.status).toBe("live");
    });
    const lost: unknown[] = [];
    channel.onLost((info) => lost.push(info));
    const mark = { event_class: "instant:lost", data: { count: 2 } };
    site.centrifugo.publish("public", { ...mark, id: "a", message: "by a page" }, { client: "c", user: "7" });
    await inbox.holds("by a page");
    expect(lost).toEqual([]);
    site.centrifugo.publish("public", { ...mark, id: "b", message: "by Django" });
    site.centrifugo.publish("public", { message: "after" });
    await inbox.holds("by a page", "after");
    expect(lost).toEqual([{ channel: "public" }]);
  });

  test("with the delivery Latest is none before the first message, at first and after a cut", async () => {
    site.centrifugo.isLatest = true;
    const instant = site.instant();
    const lost: string[] = [];
    instant.on("lost", ({ channel: name }) => lost.push(name));
    const channel = instant.channel("public");
    const inbox = new Inbox();
    channel.on("*", inbox.add);
    const statuses: ChannelStatus[] = [];
    channel.onStatus((status) => statuses.push(status));
    await soon(() => {
      expect(statuses.at(-1)).toMatch(/live|lost/);
    });
    site.centrifugo.cut();
    await soon(() => {
      expect(statuses).toEqual(["live", "subscribing", "live"]);
    });
    expect(lost).toEqual([]);
    site.centrifugo.cut();
    site.centrifugo.publish("public", { message: "first" });
    await inbox.holds("first");
    // A server that forgot it may have had newer ones.
    site.centrifugo.forget();
    site.centrifugo.cut();
    await soon(() => {
      expect(lost).toEqual(["public"]);
    });
  });

  test("gets later messages, although their offsets start again", async () => {
    const instant = site.instant();
    const inbox = new Inbox();
    const channel = instant.channel("public");
    channel.on("*", inbox.add);
    channel.onLost(() => undefined);
    await soon(() => {
      expect(channel.status).toBe("live");
    });
    for (const message of ["one", "two", "three"]) site.centrifugo.publish("public", { message });
    await inbox.holds("one", "two", "three");
    // The same epoch with a shorter history, as on a server that was restored from a backup.
    site.centrifugo.forget();
    site.centrifugo.epoch = "first";
    const lost = new Promise((resolve) => channel.onLost(resolve));
    site.centrifugo.cut();
    await lost;
    site.centrifugo.publish("public", { message: "anew" });
    await inbox.holds("one", "two", "three", "anew");
  });
});
