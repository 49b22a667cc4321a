/** Counts the heap of a page that is open all day: messages and removed listeners must not stay in memory. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

import { expect, onTestFinished, test } from "vitest";
import { WebSocket } from "ws";

import { createInstant } from "../src/instant.js";
import type { WebSocketConstructor } from "../src/options.js";
import { FakeDjango } from "./fake-django.js";
import { KINDS, RealServer } from "./real-server.js";
import { soon } from "./site.js";

const MESSAGES = 10_000;
const MOUNTS = 1000;
/** Channels in use at the same time; a connection can have 128. */
const AT_ONCE = 100;
/** Bytes by which the heap may grow. A thousand channels in use take more. */
const TOLERANCE = 1_200_000;

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

/** Returns the used bytes after garbage collection. */
async function heap(): Promise<number> {
  for (let time = 0; time < 4; time += 1) {
    collect();
    // Weakly held objects are freed between tasks.
    await new Promise((resolve) => setImmediate(resolve));
  }
  return process.memoryUsage().heapUsed;
}

test.each(KINDS)("%s: 10,000 messages and 1,000 mounts leave nothing behind", { timeout: 60_000 }, async (kind) => {
  const server = await RealServer.start(kind);
  const django = await FakeDjango.start(server.url);
  const instant = createInstant({ backend: django.url, WebSocket: WebSocket as unknown as WebSocketConstructor });
  onTestFinished(async () => {
    instant.disconnect();
    await django.stop();
    await server.stop();
  });
  django.rights.set("", ["news", ...Array.from({ length: 2 * MOUNTS }, (_, index) => `part${index.toString()}`)]);
  let heard = 0;
  const given = new Set<WeakRef<object>>();
  const alive = (): number => [...given].filter((one) => one.deref()).length;
  instant.channel("news").on("*", (message) => {
    heard += 1;
    given.add(new WeakRef(message));
  });
  await soon(() => {
    expect(instant.channel("news").status).toBe("live");
  });

  const publish = async (count: number): Promise<void> => {
    const goal = heard + count;
    const commands = Array.from({ length: count }, (_, index) => {
      const id = `${(goal - index).toString()} of those whose id is rather long`;
      // Half of them are the page's own, of which the last are kept on purpose.
      return { publish: { channel: "news", data: { id, tab: index % 2 ? instant.tab : "another", message: id.repeat(9) } } };
    });
    for (let first = 0; first < count; first += 500) {
      await server.call("batch", { commands: commands.slice(first, first + 500) });
    }
    await soon(() => {
      expect(heard).toBe(goal);
    });
  };
  // With other names each time, so that what is kept by name shows.
  const mount = async (from: number): Promise<void> => {
    for (let first = from; first < from + MOUNTS; first += AT_ONCE) {
      const mounted = Array.from({ length: AT_ONCE }, (_, index) => {
        const channel = instant.channel(`part${(first + index).toString()}`);
        const gone = new AbortController();
        channel.on("*", () => undefined, { signal: gone.signal });
        channel.on("shown", () => undefined);
        channel.onStatus(() => undefined);
        channel.onPresence(() => undefined);
        return { channel, gone };
      });
      await soon(() => {
        expect(mounted.every(({ channel }) => channel.status === "live")).toBe(true);
      });
      for (const subscription of Object.values(instant.getClient()?.subscriptions() ?? {})) given.add(new WeakRef(subscription));
      for (const { channel, gone } of mounted) {
        gone.abort();
        channel.leave();
        given.add(new WeakRef(channel));
      }
      await soon(() => {
        expect(mounted.every(({ channel }) => channel.status === "idle")).toBe(true);
      });
    }
    django.seen.length = 0;
  };

  // The first round fills the engine's caches.
  await publish(1000);
  await mount(0);
  const before = await heap();
  given.clear();
  await publish(MESSAGES);
  await heap();
  expect(alive()).toBeLessThanOrEqual(256);
  given.clear();
  const between = await heap();
  await mount(MOUNTS);
  await heap();
  // One subscription is still in use, and each round has counted it.
  expect(alive()).toBeLessThanOrEqual(MOUNTS / AT_ONCE);
  given.clear();
  const after = await heap();

  const [first = "", second = "", third = ""] = [before, between, after].map((bytes) => (bytes / 1e6).toFixed(2));
  process.stdout.write(`${kind}: heap ${first} MB, ${second} after 10,000 messages, ${third} after 1,000 mounts\n`);
  expect(Object.keys(instant.getClient()?.subscriptions() ?? {})).toEqual(["news"]);
  expect(between - before).toBeLessThan(TOLERANCE);
  expect(after - before).toBeLessThan(TOLERANCE);
});
