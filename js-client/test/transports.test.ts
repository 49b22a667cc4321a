import { expect, test, vi } from "vitest";
import { WebSocket } from "ws";

import type { WebSocketConstructor } from "../src/options.js";
import { Proxy } from "./proxy.js";
import { soon, until, useSite } from "./site.js";

const site = useSite();
const DELAY = 400;

test("all transports are tried at once, and only a new round waits", async () => {
  const attempts: { readonly transport: string; readonly at: number }[] = [];
  const note = (transport: string): void => {
    attempts.push({ transport, at: performance.now() });
  };
  const instant = site.instant({
    reconnectDelay: [DELAY, DELAY],
    WebSocket: function socket(url: string) {
      note("websocket");
      return new WebSocket(url);
    } as unknown as WebSocketConstructor,
    fetch: (input, init) => {
      if ((input as string).endsWith("/connection/http_stream")) note("http_stream");
      return fetch(input, init);
    },
  });
  const proxy = await Proxy.start(Number(new URL(site.centrifugo.url).port));
  site.django.websocketUrl = proxy.url;
  await instant.connect();
  expect(attempts.map(({ transport }) => transport)).toEqual(["websocket"]);
  attempts.length = 0;
  proxy.isDown = true;
  proxy.cut();
  await soon(() => {
    expect(attempts.length).toBeGreaterThanOrEqual(5);
  });
  expect(attempts.slice(0, 5).map(({ transport }) => transport)).toEqual(["websocket", "http_stream", "websocket", "http_stream", "websocket"]);
  const gaps = attempts.slice(1, 5).map(({ at }, index) => at - (attempts[index]?.at ?? 0));
  expect(gaps.map((gap) => gap >= DELAY - 5)).toEqual([false, true, false, true]);
  proxy.isDown = false;
  await until(instant, "live");
  instant.disconnect();
  await proxy.stop();
});

test("a socket that opens and closes without an answer counts as failed", async () => {
  const asked: string[] = [];
  site.centrifugo.refuses = true;
  const instant = site.instant({
    fetch: (input, init) => {
      asked.push(new URL(input as string).pathname);
      return fetch(input, init);
    },
  });
  instant.channel("public").on("*", () => undefined);
  await soon(() => {
    expect(asked).toContain("/connection/http_stream");
  });
  site.centrifugo.refuses = false;
  await until(instant, "live");
});

test("transports can be chosen, and an address that does not end in /websocket is used for WebSockets only", async () => {
  const asked: string[] = [];
  const spy: typeof fetch = (input, init) => {
    asked.push(new URL(input as string).pathname);
    return fetch(input, init);
  };
  site.centrifugo.refuses = true;
  const only = site.instant({ transports: ["websocket"], fetch: spy });
  await expect(only.connect()).rejects.toThrow();
  only.disconnect();
  site.django.websocketUrl = site.centrifugo.url.replace("/connection/websocket", "/socket");
  const elsewhere = site.instant({ fetch: spy });
  await expect(elsewhere.connect()).rejects.toThrow();
  expect(new Set(asked)).toEqual(new Set(["/instant/get_token/"]));
});

test("a page that waits for its turn takes a WebSocket as soon as one gets through", async () => {
  // Other tabs have all slots.
  vi.stubGlobal("navigator", { locks: { request: () => new Promise(() => undefined), query: () => Promise.resolve({}) } });
  const proxy = await Proxy.start(Number(new URL(site.centrifugo.url).port));
  site.django.websocketUrl = proxy.url;
  proxy.blocksUpgrades = true;
  const instant = site.instant({ timeout: 500 });
  instant.channel("public").on("*", () => undefined);
  const websockets = (): number => proxy.paths.filter((path) => path === "/connection/websocket").length;
  await soon(() => {
    expect(websockets()).toBeGreaterThan(1);
  });
  expect(new Set(proxy.paths)).toEqual(new Set(["/connection/websocket"]));
  proxy.blocksUpgrades = false;
  await until(instant, "live");
  instant.disconnect();
  await proxy.stop();
});
