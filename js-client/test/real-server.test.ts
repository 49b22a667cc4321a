/** This client on real servers, through a proxy that fails as networks do. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";

import type { Instant } from "../src/instant.js";
import type { EventSourceConstructor, InstantOptions } from "../src/options.js";
import type { Presence } from "../src/types.js";
import { EventSource as NodeEventSource } from "./event-source.js";
import { TOKEN_KEY } from "./fake-centrifugo.js";
import { Proxy } from "./proxy.js";
import { KINDS, RealServer } from "./real-server.js";
import { Inbox, soon, until, useSite } from "./site.js";

const site = useSite();
const EventSource = NodeEventSource as unknown as EventSourceConstructor;

if (KINDS.length === 0) test.skip("no Python with aiohttp here, and no INSTANT_CENTRIFUGO", () => undefined);

describe.each(KINDS)("%s", (kind) => {
  let server: RealServer;
  let proxy: Proxy;

  beforeAll(async () => {
    server = await RealServer.start(kind);
  });
  afterAll(async () => {
    await server.stop();
  });
  beforeEach(async () => {
    proxy = await Proxy.start(server.port);
    site.django.websocketUrl = proxy.url;
    // Anonymous clients may not publish or ask for presence unless the server's config allows it.
    site.django.rights.set("anna", []);
    site.django.user = "anna";
  });
  afterEach(async () => {
    await proxy.stop();
  });

  /** Opens a page with a listener. Tests share the server, so each has its own channel. */
  async function page(name: string, options?: InstantOptions): Promise<{ instant: Instant; inbox: Inbox }> {
    site.django.rights.get("anna")?.push(name);
    const instant = site.instant(options);
    const inbox = new Inbox();
    instant.channel(name).on("*", inbox.add);
    await soon(() => {
      expect(instant.channel(name).status).toBe("live");
    });
    return { instant, inbox };
  }

  function transport(): string {
    const connecting = proxy.paths.filter((path) => path.startsWith("/connection/"));
    return connecting.at(-1)?.replace("/connection/", "") ?? "none";
  }

  test("messages arrive once each, also those that a cut delayed", async () => {
    const { inbox } = await page("replay");
    await server.publish("replay", { message: "one" });
    await inbox.holds("one");
    const before = site.django.seen.length;
    proxy.cut();
    await server.publish("replay", { message: "two" });
    await server.publish("replay", { message: "three" });
    await inbox.holds("one", "two", "three");
    await server.publish("replay", { message: "four" });
    await inbox.holds("one", "two", "three", "four");
    expect(inbox.messages.map(({ recovered }) => recovered)).toEqual([false, true, true, false]);
    expect(site.django.seen).toHaveLength(before + 1);
  });

  test("presence, history and publish", async () => {
    const { instant, inbox } = await page("room");
    const told: Presence[] = [];
    instant.channel("room").onPresence((presence) => told.push(presence));
    await soon(() => {
      expect(told.at(-1)?.people).toEqual([{ user: "anna", connections: 1, info: undefined }]);
    });
    const { instant: other } = await page("room");
    await soon(() => {
      expect(told.at(-1)?.people[0]?.connections).toBe(2);
    });
    const sent = await other.channel("room").publish({ message: "hello", data: { a: 1 } });
    await inbox.holds("hello");
    expect(sent).toMatchObject({ own: true, message: "hello" });
    expect(inbox.messages[0]).toMatchObject({ id: sent?.id, client: sent?.client, data: { a: 1 }, own: false });
    const { messages } = await instant.channel("room").history();
    expect(messages.map(({ message }) => message)).toEqual(["hello"]);
    expect(await other.channel("room").presence()).toEqual([{ user: "anna", connections: 2, info: undefined }]);
    other.disconnect();
    await soon(() => {
      expect(told.at(-1)?.people[0]?.connections).toBe(1);
    });
  });

  test("a wrong key is tried again until it is corrected, and nothing is missed", async () => {
    const { instant, inbox } = await page("wrong-key");
    const codes: unknown[] = [];
    instant.on("error", (error) => codes.push(Reflect.get(error, "code")));
    await server.publish("wrong-key", { message: "one" });
    await inbox.holds("one");
    site.django.key = "of another server";
    proxy.cut();
    await soon(() => {
      expect(codes.length).toBeGreaterThan(3);
    });
    expect([instant.status, new Set(codes)]).toEqual(["offline", new Set([3500])]);
    await server.publish("wrong-key", { message: "two" });
    site.django.key = TOKEN_KEY;
    await inbox.holds("one", "two");
    await until(instant, "live");
  });

  describe.each([
    ["websocket", false, false],
    ["http_stream", true, false],
    ["sse", true, true],
  ])("by %s", (name, blocksUpgrades, blocksStreams) => {
    beforeEach(() => {
      Object.assign(proxy, { blocksUpgrades, blocksStreams });
    });

    test("a message that is too large is refused before it is sent, and the page stays connected", async () => {
      const { instant, inbox } = await page(`large-${name}`, { EventSource });
      expect(transport()).toBe(name);
      const channel = instant.channel(`large-${name}`);
      const statuses: string[] = [];
      instant.on("status", (status) => statuses.push(status));
      // Quotes and “é” take more on their way than they have characters.
      for (const text of ["x".repeat(70_000), "é".repeat(40_000), '"'.repeat(40_000)]) {
        await expect(channel.publish({ data: { text } })).rejects.toMatchObject({
          name: "ChannelError",
          channel: `large-${name}`,
          code: 1009,
          message: expect.stringMatching(/\d{5} bytes.* 65536/) as string,
        });
      }
      // What is just small enough arrives.
      const body = (length: number): Parameters<typeof channel.publish>[0] => ({ message: "largest", data: "x".repeat(length), id: "1" });
      let length = 64_000;
      const isAccepted = (): Promise<boolean> =>
        channel.publish(body(length)).then(
          () => true,
          () => false,
        );
      while (await isAccepted()) length += 64;
      expect(length).toBeGreaterThan(64_500);
      await soon(() => {
        expect(inbox.texts).toEqual(["largest"]);
      });
      expect([instant.status, statuses]).toEqual(["live", []]);
    });

    test("channels whose tokens together are too large are joined in several pieces", async () => {
      const names = Array.from({ length: 100 }, (_, index) => `many-${name}-${index.toString()}-${"x".repeat(200)}`);
      site.django.rights.get("anna")?.push(...names);
      const instant = site.instant({ EventSource });
      const inbox = new Inbox();
      for (const one of names) instant.channel(one).on("*", inbox.add);
      await soon(() => {
        expect(names.every((one) => instant.channel(one).status === "live")).toBe(true);
      });
      proxy.cut();
      for (const one of names) await server.publish(one, { message: one });
      await soon(() => {
        expect(new Set(inbox.texts)).toEqual(new Set(names));
      });
      expect(site.django.views()).toEqual(["get_token", "get_token"]);
    });
  });

  test("a page whose connection ended because of the size of a message comes back", async () => {
    const { instant, inbox } = await page("comes-back", { sizeLimit: 1_000_000 });
    const errors: unknown[] = [];
    instant.on("error", (error) => errors.push(error));
    await expect(instant.channel("comes-back").publish({ data: "x".repeat(70_000) })).rejects.toMatchObject({ name: "ChannelError" });
    await server.publish("comes-back", { message: "one" });
    await inbox.holds("one");
    await until(instant, "live");
  });

  test("with the delivery Latest nothing is lost before the first message", async () => {
    const { instant, inbox } = await page("latest:1");
    const lost: string[] = [];
    instant.on("lost", ({ channel }) => lost.push(channel));
    proxy.cut();
    await until(instant, "connecting");
    await soon(() => {
      expect(instant.channel("latest:1").status).toBe("live");
    });
    await server.publish("latest:1", { message: "first" });
    await inbox.holds("first");
    proxy.cut();
    await until(instant, "connecting");
    await server.publish("latest:1", { message: "second" });
    await server.publish("latest:1", { message: "third" });
    await soon(() => {
      expect(inbox.texts.at(-1)).toBe("third");
    });
    expect(lost).toEqual([]);
  });

  test("HTTP-streaming gets through a proxy that blocks upgrades, also after a cut", async () => {
    proxy.blocksUpgrades = true;
    const first = site.instant();
    const statuses: string[] = [];
    first.on("status", (status) => statuses.push(status));
    await first.connect();
    // A failed transport is not reported while there are others.
    expect(statuses).toEqual(["connecting", "live"]);
    first.disconnect();
    const { instant, inbox } = await page("stream");
    expect(transport()).toBe("http_stream");
    await server.publish("stream", { message: "one" });
    await inbox.holds("one");
    // Commands get through too.
    await instant.channel("stream").publish({ message: "two" });
    await inbox.holds("one", "two");
    proxy.paths.length = 0;
    proxy.cut();
    await server.publish("stream", { message: "three" });
    await inbox.holds("one", "two", "three");
    // It starts with the transport that worked.
    expect(proxy.paths.filter((path) => path.startsWith("/connection/"))).toEqual(["/connection/http_stream"]);
  });

  test("a page that moves behind such a proxy gets through, and returns to WebSocket later", async () => {
    const { instant, inbox } = await page("moving");
    expect(transport()).toBe("websocket");
    proxy.blocksUpgrades = true;
    proxy.cut();
    await server.publish("moving", { message: "one" });
    await inbox.holds("one");
    await until(instant, "live");
    expect(transport()).toBe("http_stream");
    proxy.blocksUpgrades = false;
    proxy.blocksStreams = true;
    proxy.cut();
    await server.publish("moving", { message: "two" });
    await inbox.holds("one", "two");
    expect(transport()).toBe("websocket");
  });

  test("after some failed attempts the page connects by WebSocket", async () => {
    const { instant, inbox } = await page("away");
    proxy.isDown = true;
    proxy.cut();
    await until(instant, "offline");
    proxy.paths.length = 0;
    let failures = 0;
    instant.on("error", () => (failures += 1));
    await soon(() => {
      expect(failures).toBeGreaterThan(12);
    });
    // Wait for the end of a round, because attempts within a round follow at once.
    await new Promise<void>((resolve) => {
      const remove = instant.on("error", () => {
        if (Reflect.get(instant.getClient() ?? {}, "_currentTransportIndex") !== 0) return;
        remove();
        resolve();
      });
    });
    proxy.isDown = false;
    await server.publish("away", { message: "one" });
    await inbox.holds("one");
    expect(transport()).toBe("websocket");
  });

  test.each([
    ["the page", "option"],
    ["Django", "answer"],
  ])("the next of several addresses that %s names is tried, also after a success", async (_by, way) => {
    const second = await Proxy.start(server.port);
    try {
      const urls = [proxy.url, second.url];
      if (way === "answer") site.django.websocketUrl = urls;
      const { instant, inbox } = await page(`several-${way}`, way === "option" ? { websocketUrl: urls } : {});
      expect(proxy.paths).toEqual(["/connection/websocket"]);
      for (const [dead, alive] of [
        [proxy, second],
        [second, proxy],
        [proxy, second],
      ] as const) {
        alive.isDown = false;
        alive.paths.length = 0;
        dead.isDown = true;
        dead.cut();
        const text = inbox.texts.length.toString();
        await server.publish(`several-${way}`, { message: text });
        await soon(() => {
          expect(inbox.texts.at(-1)).toBe(text);
        });
        await until(instant, "live");
        expect(alive.paths[0]).toBe("/connection/websocket");
      }
    } finally {
      await second.stop();
    }
  });

  test("after a server was killed, the page connects again and knows that messages were lost", async () => {
    const own = await RealServer.start(kind);
    const before = proxy.target;
    proxy.target = own.port;
    try {
      const { instant, inbox } = await page("killed");
      const lost = new Promise((resolve) => instant.channel("killed").onLost(resolve));
      await own.publish("killed", { message: "one" });
      await inbox.holds("one");
      await own.kill();
      await until(instant, "offline");
      await own.start();
      await lost;
      await own.publish("killed", { message: "two" });
      await inbox.holds("one", "two");
      await until(instant, "live");
    } finally {
      proxy.target = before;
      await own.stop();
    }
  });
});
