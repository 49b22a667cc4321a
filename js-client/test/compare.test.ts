/**
 * Compares this client with plain centrifuge-js, used as in its documentation with a token request for each
 * subscription: 50 channels, one cut. The figures are printed; the guarantees are asserted.
 */
import { Centrifuge } from "centrifuge";
import { expect, test, vi } from "vitest";
import { WebSocket } from "ws";

import { Inbox, soon, useSite } from "./site.js";

const site = useSite();
const NAMES = Array.from({ length: 50 }, (_, index) => `room${index.toString()}`);
const SECONDS = (milliseconds: number): string => `${(milliseconds / 1000).toFixed(2)} s`;

interface Result {
  readonly requests: number;
  readonly refused: number;
  readonly milliseconds: number;
  readonly missed: number;
}

/** Cuts the connection when all tokens have expired, and waits until all channels are subscribed again. */
async function cut(received: () => string[]): Promise<Result> {
  const [requests, refused] = [site.django.seen.length, site.centrifugo.errors.length];
  site.centrifugo.expireTokens(site.django.serial);
  const begun = performance.now();
  site.centrifugo.cut();
  for (const name of NAMES) site.centrifugo.publish(name, { message: `${name} missed` });
  // The plain client waits for some seconds before it subscribes again.
  const all = (): void => {
    expect(received().length).toBe(NAMES.length);
  };
  await vi.waitFor(all, { interval: 2, timeout: 20_000 });
  const milliseconds = performance.now() - begun;
  for (const name of NAMES) site.centrifugo.publish(name, { message: `${name} live` });
  await soon(() => {
    expect(received().length).toBeGreaterThanOrEqual(2 * NAMES.length);
  });
  const wanted = NAMES.flatMap((name) => [`${name} missed`, `${name} live`]);
  const missed = wanted.filter((text) => !received().includes(text)).length;
  expect(received()).toHaveLength(wanted.length);
  return {
    requests: site.django.seen.length - requests,
    refused: site.centrifugo.errors.length - refused,
    milliseconds,
    missed,
  };
}

async function withInstant(): Promise<Result> {
  const instant = site.instant({ reconnectDelay: [500, 20_000] });
  const inbox = new Inbox();
  for (const name of NAMES) instant.channel(name).on("*", inbox.add);
  await soon(() => {
    expect(NAMES.every((name) => instant.channel(name).status === "live")).toBe(true);
  });
  const result = await cut(() => inbox.texts);
  expect(NAMES.every((name) => instant.channel(name).status === "live")).toBe(true);
  instant.disconnect();
  return result;
}

async function withPlain(): Promise<Result> {
  const ask = async (view: string, channels?: string[]): Promise<Record<string, unknown>> => {
    const response = await fetch(`${site.django.url}/instant/${view}/`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ channels: channels ?? [] }),
    });
    return (await response.json()) as Record<string, unknown>;
  };
  const client = new Centrifuge(site.centrifugo.url, {
    websocket: WebSocket,
    getToken: async () => (await ask("get_token"))["ws_token"] as string,
  });
  const texts: string[] = [];
  let live = 0;
  for (const name of NAMES) {
    const subscription = client.newSubscription(name, {
      getToken: async () => ((await ask("subscribe", [name]))["channels"] as [{ token: string }])[0].token,
    });
    subscription.on("subscribed", () => (live += 1));
    subscription.on("publication", ({ data }) => texts.push((data as { message: string }).message));
    subscription.subscribe();
  }
  client.connect();
  await soon(() => {
    expect(live).toBe(NAMES.length);
  });
  const result = await cut(() => texts);
  client.disconnect();
  return result;
}

test("after a cut, 50 channels need one request and miss nothing", { timeout: 40_000 }, async () => {
  site.django.rights.set("", NAMES);
  const plain = await withPlain();
  site.centrifugo.forget();
  const ours = await withInstant();
  for (const [name, { requests, refused, milliseconds, missed }] of [["plain centrifuge-js", plain], ["djangoinstant", ours]] as const) {
    process.stdout.write(
      `50 channels, one cut: ${name.padEnd(19)} ${requests.toString().padStart(2)} requests to Django, ` +
        `${refused.toString().padStart(2)} tokens refused, all back after ${SECONDS(milliseconds)}, ${missed.toString()} messages missed\n`,
    );
  }
  expect(ours).toMatchObject({ requests: 1, refused: 0, missed: 0 });
  expect(plain.requests).toBeGreaterThan(NAMES.length);
});
