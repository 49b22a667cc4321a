/**
 * Sends messages for three minutes and cuts the connection every few seconds: `npm run soak`. Exits with 1 if
 * a message was lost or delivered twice.
 */
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";

import { WebSocket } from "ws";

import { createInstant, type Instant } from "../src/instant.js";
import type { WebSocketConstructor } from "../src/options.js";
import { FakeDjango } from "./fake-django.js";
import { Proxy } from "./proxy.js";
import { type Kind, KINDS, RealServer } from "./real-server.js";

const { values } = parseArgs({ options: { seconds: { type: "string", default: "180" } } });
const SECONDS = Number(values.seconds);
const CHANNELS = ["a", "b", "c"];

function say(text: string, good = true): void {
  if (!good) process.exitCode = 1;
  process.stdout.write(`${good ? "" : "FAILED: "}${text}\n`);
}

function open(django: FakeDjango): Instant {
  return createInstant({
    backend: django.url,
    WebSocket: WebSocket as unknown as WebSocketConstructor,
    reconnectDelay: [50, 1000],
  });
}

async function until(condition: () => boolean, what: string): Promise<void> {
  for (const end = Date.now() + 60_000; Date.now() < end; ) {
    if (condition()) return;
    await pause(5);
  }
  throw new Error(`Waited in vain: ${what}`);
}

async function soak(kind: Kind): Promise<void> {
  const server = await RealServer.start(kind);
  const proxy = await Proxy.start(server.port);
  const django = await FakeDjango.start(proxy.url);
  django.rights.set("", CHANNELS);
  django.use = 2;
  const pages = [open(django), open(django)];
  const heard = pages.map((page) => {
    const texts: Record<string, string[]> = {};
    for (const name of CHANNELS) {
      const list: string[] = (texts[name] = []);
      page.channel(name).on("*", ({ message }) => list.push(message));
    }
    return texts;
  });
  let lost = 0;
  for (const page of pages) page.on("lost", () => (lost += 1));
  const isLive = (): boolean => pages.every((page) => page.status === "live" && CHANNELS.every((name) => page.channel(name).status === "live"));
  await until(isLive, "the first connection");

  const end = Date.now() + SECONDS * 1000;
  let cuts = 0;
  let sent = 0;
  const cutting = (async () => {
    while (Date.now() < end) {
      await pause(1000 + Math.random() * 4000);
      cuts += 1;
      // A broken network, a proxy that blocks upgrades, a server that is down for a moment.
      proxy.blocksUpgrades = cuts % 5 === 4;
      proxy.isDown = cuts % 3 === 2;
      proxy.cut();
      if (proxy.isDown) await pause(700);
      proxy.isDown = false;
    }
  })();
  while (Date.now() < end) {
    await Promise.all(CHANNELS.map((name) => server.publish(name, { message: sent.toString() })));
    sent += 1;
    await pause(25);
  }
  await cutting;
  const wanted = Array.from({ length: sent }, (_, index) => index.toString()).join();
  const isComplete = (): boolean => heard.every((texts) => CHANNELS.every((name) => texts[name]?.at(-1) === (sent - 1).toString()));
  await until(() => isLive() && isComplete(), "the last message").catch(() => undefined);
  const wrong = heard.flatMap((texts) => CHANNELS.filter((name) => texts[name]?.join() !== wanted));
  const streams = proxy.paths.filter((path) => path.endsWith("/http_stream")).length;
  say(
    `${kind}: ${SECONDS.toString()} s, ${cuts.toString()} cuts, ${(sent * CHANNELS.length).toString()} messages to 2 pages, ` +
      `${streams.toString()} streams, ${django.seen.length.toString()} requests to Django; ` +
      `${wrong.length.toString()} of ${(CHANNELS.length * pages.length).toString()} lists not as sent, ${lost.toString()} gaps told`,
    wrong.length === 0 && lost === 0,
  );
  for (const page of pages) page.disconnect();
  await Promise.all([proxy.stop(), django.stop()]);
  await server.stop();
}

if (KINDS.length === 0) say("There is no message server to test with.", false);
await Promise.all(KINDS.map((kind) => soak(kind)));
