/** The fake that applications use in their tests. */
import { afterEach, expect, test, vi } from "vitest";

import { RpcError } from "../src/errors.js";
import { createFakeInstant, type FakeInstant, type FakeOptions } from "../src/testing/index.js";

const open: FakeInstant[] = [];

function fake(options?: FakeOptions): FakeInstant {
  const made = createFakeInstant(options);
  open.push(made);
  return made;
}

afterEach(() => {
  for (const { instant } of open.splice(0)) instant.disconnect();
});

test("a page gets what is published, and what it missed", async () => {
  const page = fake();
  const heard: unknown[] = [];
  page.instant.channel("order:42").on("shipped", ({ data, recovered }) => heard.push([data, recovered]));
  await page.joined("order:42");
  page.publish("order:42", { eventClass: "shipped", data: 1 });
  page.publish("order:42", { eventClass: "packed", data: 2 });
  page.cut();
  page.publish("order:42", { eventClass: "shipped", data: 3 });
  await vi.waitFor(() => {
    expect(heard).toEqual([
      [1, false],
      [3, true],
    ]);
  });
});

test("a page publishes, reads history and presence, and recognizes its own messages", async () => {
  const page = fake({ user: "7" });
  const room = page.instant.channel("room");
  const next = room.once("*");
  await page.joined("room");
  const { id = "" } = (await room.publish({ eventClass: "chat", data: { text: "hi" } })) ?? {};
  expect(await next).toMatchObject({ id, own: true, eventClass: "chat" });
  expect(page.published).toEqual([{ channel: "room", eventClass: "chat", data: { text: "hi" }, id, tab: page.instant.tab }]);
  expect((await room.history()).messages.map((message) => message.id)).toEqual([id]);
  expect(await room.presence()).toEqual([{ user: "7", connections: 1, info: undefined }]);
});

test("a page calls Python, and is refused", async () => {
  const page = fake({ methods: { double: ({ n }: { n: number }) => Promise.resolve(n * 2) } });
  expect(await page.instant.rpc<number>("double", { n: 21 })).toBe(42);
  await expect(page.instant.rpc("other")).rejects.toMatchObject({ name: "RpcError", code: 404 });
  page.methods["other"] = () => {
    throw new RpcError("n: is missing", { code: 422 });
  };
  await expect(page.instant.rpc("other")).rejects.toMatchObject({ code: 422, fields: { n: "is missing" } });
  page.methods["other"] = () => undefined;
  expect(await page.instant.rpc("other")).toBeNull();
});

test("a page has the state of a channel, and has it again after a loss", async () => {
  const page = fake({ states: { "order:42": { status: "placed" } } });
  const order = page.instant.channel("order:42");
  const drawn: unknown[] = [];
  order.state((state) => drawn.push(state));
  await order.subscribed();
  await vi.waitFor(() => {
    expect(drawn).toEqual([{ status: "placed" }]);
  });
  page.publish("order:42", { data: { status: "packed" } });
  page.states["order:42"] = { status: "delivered" };
  page.forget();
  await vi.waitFor(() => {
    expect(drawn).toEqual([{ status: "placed" }, { status: "packed" }, { status: "delivered" }]);
  });
});

test("revoked rights, lost messages and the end of a session", async () => {
  const page = fake({ denied: ["$staff"], rights: { news: ["presence"] } });
  const { instant } = page;
  const [secret, news] = [instant.channel("$staff"), instant.channel("news")];
  secret.on("*", () => undefined);
  news.on("*", () => undefined);
  await page.joined("news");
  expect([secret.denial, page.subscribed, news.rights]).toEqual(["refused", ["news"], ["presence"]]);
  const lost = new Promise((resolve) => news.onLost(resolve));
  page.forget();
  await lost;
  page.revoke("news");
  await vi.waitFor(() => {
    expect(news.denial).toBe("revoked");
  });
  page.isDown = true;
  page.cut();
  await vi.waitFor(() => {
    expect(instant.status).toBe("offline");
  });
  page.isDown = false;
  await vi.waitFor(() => {
    expect(instant.status).toBe("live");
  });
  page.signOut();
  await vi.waitFor(() => {
    expect(instant.status).toBe("signed-out");
  });
  expect(await instant.login("anna", "any password")).toEqual([]);
});

test("what a page whispers arrives, and is in no history", async () => {
  const page = fake({ user: "7" });
  const room = page.instant.channel("room");
  const next = room.once("typing");
  await page.joined("room");
  await room.whisper("typing", { by: "ann" });
  expect(await next).toMatchObject({ data: { by: "ann" }, own: true });
  expect(page.published).toMatchObject([{ channel: "room", eventClass: "typing", whisper: true }]);
  expect((await room.history()).messages).toEqual([]);
});
