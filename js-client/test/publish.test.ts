/** What becomes of a page's own publications. */
import { describe, expect, test } from "vitest";

import { Refusal } from "./fake-centrifugo.js";
import { Inbox, soon, until, useSite } from "./site.js";

const site = useSite();
const body = (data: unknown): Record<string, unknown> => data as Record<string, unknown>;

describe("publish() resolves with the message as Python has made it", () => {
  test("with its id, or without", async () => {
    const room = site.instant().channel("public");
    site.centrifugo.onPublish = (data) => ({ ...body(data), message: "moderated" });
    const first = await room.publish({ id: "mine", message: "rude" });
    expect(first).toMatchObject({ id: "mine", message: "moderated", own: true, offset: 1 });
    site.centrifugo.onPublish = () => ({ message: "written anew" });
    const second = await room.publish({ message: "rude" });
    expect(second).toMatchObject({ id: "", message: "written anew", own: true });
    expect(second?.client).toBe(first?.client);
    site.centrifugo.onPublish = () => ({ id: "row 7", message: "stored" });
    expect(await room.publish({ message: "x" })).toMatchObject({ id: "row 7" });
  });

  test("each its own, in their order, whoever else publishes and whatever is refused", async () => {
    const [here, there] = [site.instant(), site.instant()];
    const room = here.channel("public");
    const inbox = new Inbox();
    room.on("*", inbox.add);
    await there.channel("public").subscribed();
    await room.subscribed();
    site.centrifugo.onPublish = (data) => {
      const { message } = body(data);
      if (message === "two") throw new Refusal(409, "no");
      return { message: `${String(message)}!` };
    };
    const mine = ["one", "two", "three", "four"].map((message) => room.publish({ message }));
    const theirs = there.channel("public").publish({ message: "theirs" });
    site.centrifugo.publish("public", { message: "of Django", tab: here.tab });
    const settled = await Promise.allSettled(mine);
    expect(settled.map((one) => (one.status === "fulfilled" ? one.value?.message : (one.reason as { code: number }).code))).toEqual([
      "one!",
      409,
      "three!",
      "four!",
    ]);
    expect((await theirs)?.message).toBe("theirs!");
    expect(settled[1]).toMatchObject({ reason: { name: "ChannelError", channel: "public", message: "no" } });
    const others = inbox.messages.filter(({ own }) => !own).map(({ message }) => message);
    expect([inbox.texts.length, others]).toEqual([5, ["theirs!"]]);
  });

  test("also if it has been delivered before, and is not again", async () => {
    const room = site.instant().channel("public");
    room.on("*", () => undefined);
    const first = await room.publish({ id: "1", message: "x" });
    expect(await room.publish({ id: "1", message: "again" })).toBe(first);
  });
});

test("one that does not come is no error, and the next is not taken for it", async () => {
  const instant = site.instant({ timeout: 60 });
  const room = instant.channel("public");
  room.on("*", () => undefined);
  await room.subscribed();
  site.centrifugo.delivers = false;
  expect(await room.publish({ message: "lost" })).toBeUndefined();
  // On the next connection it is given up for good.
  site.centrifugo.cut();
  await until(instant, "connecting");
  await until(instant, "live");
  site.centrifugo.delivers = true;
  site.centrifugo.onPublish = () => ({ message: "anew" });
  expect(await room.publish({ message: "next" })).toMatchObject({ message: "anew" });
});

test("a connection that breaks before the answer rejects", async () => {
  const instant = site.instant();
  const room = instant.channel("public");
  const inbox = new Inbox();
  room.on("*", inbox.add);
  await room.subscribed();
  const before = site.centrifugo.publish.bind(site.centrifugo);
  site.centrifugo.publish = (...given) => {
    site.centrifugo.publish = before;
    site.centrifugo.cut();
    before(...given);
  };
  await expect(room.publish({ id: "cut", message: "x" })).rejects.toMatchObject({ name: "ChannelError", code: 11, channel: "public" });
  // It was published, arrives all the same, and is known as the page's own.
  await inbox.holds("x");
  expect(inbox.messages[0]).toMatchObject({ own: true, recovered: true });
});

test("an error says what that of a call says", async () => {
  const room = site.instant().channel("public");
  await room.subscribed();
  const refusals = [
    [429, "too many calls; try again in 7 s", { temporary: true, retryAfter: 7, fields: {} }],
    [422, "text: Field required; lines.0: is not expected", { temporary: false, fields: { text: "Field required", "lines.0": "is not expected" } }],
    [409, "no: thanks", { temporary: false, retryAfter: undefined, fields: {} }],
  ] as const;
  for (const [code, message, more] of refusals) {
    site.centrifugo.onPublish = () => {
      throw new Refusal(code, message, code === 429);
    };
    await expect(room.publish({ message: "x" })).rejects.toMatchObject({ name: "ChannelError", channel: "public", code, message, ...more });
  }
});

test("who may publish and not listen gets nothing back", async () => {
  const instant = site.instant();
  await instant.connect();
  const box = instant.channel("box");
  await expect(box.publish({ message: "x" })).rejects.toMatchObject({ name: "ChannelError", code: 103, channel: "box" });
  site.centrifugo.open.add("box");
  expect(await site.instant().channel("box").publish({ message: "of a page that is not connected yet" })).toBeUndefined();
  expect(await box.publish({ message: "x" })).toBeUndefined();
  expect(site.centrifugo.received.at(-1)).toMatchObject({ name: "publish", params: { channel: "box", data: { message: "x" } } });
  const large = box.publish({ message: "x".repeat(70_000) });
  await expect(large).rejects.toMatchObject({ name: "ChannelError", code: 1009, channel: "box" });
  await soon(() => {
    expect(box.status).toBe("idle");
  });
});

describe("whisper()", () => {
  test("is heard by those who listen, and nobody keeps it", async () => {
    const [here, there] = [site.instant(), site.instant()];
    const heard: unknown[] = [];
    there.channel("public").on("typing", ({ data, own }) => heard.push([data, own]));
    here.channel("public").on("typing", ({ data }) => heard.push(data), { own: false });
    await there.channel("public").subscribed();
    await here.channel("public").whisper("typing", { by: "ann" });
    await here.channel("public").publish({ message: "kept" });
    await soon(() => {
      expect(heard).toEqual([[{ by: "ann" }, false]]);
    });
    const { messages, offset } = await there.channel("public").history();
    expect([messages.map(({ message }) => message), offset]).toEqual([["kept"], 1]);
    // Nothing is missing after it.
    site.centrifugo.cut();
    site.centrifugo.publish("public", { message: "missed" });
    expect(await there.channel("public").once("*")).toMatchObject({ message: "missed", recovered: true });
  });

  test("says where the server keeps it, because it does not ask Django", async () => {
    const room = site.instant().channel("public");
    site.centrifugo.asksDjango = false;
    await expect(room.whisper("typing")).rejects.toMatchObject({ name: "ChannelError", channel: "public", code: 108 });
    site.centrifugo.keepsHistory = false;
    await room.whisper("typing");
  });

  test("is refused as what is published", async () => {
    site.centrifugo.onPublish = () => {
      throw new Refusal(409, "no");
    };
    await expect(site.instant().channel("public").whisper("typing")).rejects.toMatchObject({ code: 409, message: "no" });
  });
});
