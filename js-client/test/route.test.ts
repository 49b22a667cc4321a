import { describe, expect, test, vi } from "vitest";
import { WebSocket } from "ws";

import type { WebSocketConstructor } from "../src/types.js";
import { Proxy } from "./proxy.js";
import { soon, until, useSite } from "./site.js";

const site = useSite();
const DELAY = 400;

test("the ways to connect are tried at once, and only a new round waits", async () => {
  const attempts: { readonly way: string; readonly at: number }[] = [];
  const note = (way: string): void => {
    attempts.push({ way, at: performance.now() });
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
  expect(attempts.map(({ way }) => way)).toEqual(["websocket"]);
  attempts.length = 0;
  proxy.isDown = true;
  proxy.cut();
  await soon(() => {
    expect(attempts.length).toBeGreaterThanOrEqual(5);
  });
  expect(attempts.slice(0, 5).map(({ way }) => way)).toEqual(["websocket", "http_stream", "websocket", "http_stream", "websocket"]);
  const gaps = attempts.slice(1, 5).map(({ at }, index) => at - (attempts[index]?.at ?? 0));
  expect(gaps.map((gap) => gap >= DELAY - 5)).toEqual([false, true, false, true]);
  proxy.isDown = false;
  await until(instant, "live");
  instant.disconnect();
  await proxy.stop();
});

test("a socket that opens and dies unanswered is no way to connect", async () => {
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

test("transports can be chosen, and an address that names no WebSocket path is one for WebSockets alone", async () => {
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

describe("the way that worked is remembered by the tab", () => {
  /** What browsers have for each tab. */
  class Storage {
    readonly kept = new Map<string, string>();
    getItem = (key: string): string | null => this.kept.get(key) ?? null;
    setItem = (key: string, value: string): unknown => this.kept.set(key, value);
    get way(): unknown {
      const [way] = JSON.parse(this.kept.get("instant.way") ?? "[]") as unknown[];
      return way;
    }
  }

  /** What a page tries, up to its first connection; `blocked` are ways that don't work. */
  async function open(...blocked: string[]): Promise<string[]> {
    const isPossible = blocked.length < 2;
    const tried: string[] = [];
    const attempt = (way: string): void => {
      tried.push(way);
      if (blocked.includes(way)) throw new TypeError("blocked");
    };
    const instant = site.instant({
      WebSocket: function socket(url: string) {
        tried.push("websocket");
        return new WebSocket(blocked.includes("websocket") ? url.replace(/:\d+/, ":9") : url);
      } as unknown as WebSocketConstructor,
      fetch: async (input, init) => {
        const url = input as string;
        if (!url.endsWith("/connection/http_stream")) return fetch(input, init);
        attempt("http_stream");
        return stream();
      },
      transports: ["websocket", "http_stream"],
    });
    void instant.connect().catch(() => undefined);
    await until(instant, isPossible ? "live" : "offline");
    instant.disconnect();
    return tried;
  }

  /** A response that never ends and begins with the answer to “connect”. */
  function stream(): Response {
    const answer = `${JSON.stringify({ id: 1, connect: { client: "c", version: "fake" } })}\n`;
    return new Response(
      new ReadableStream({
        start(controller) {
          controller.enqueue(new TextEncoder().encode(answer));
        },
      }),
    );
  }

  test("a next page begins with it, for a while, and forgets it when it fails", async () => {
    const storage = new Storage();
    vi.stubGlobal("sessionStorage", storage);
    const address = site.centrifugo.url.replace("ws:", "http:").replace("websocket", "http_stream");
    expect(await open("websocket")).toEqual(["websocket", "http_stream"]);
    expect(storage.way).toBe(address);
    const kept = storage.kept.get("instant.way");
    expect(await open("websocket")).toEqual(["http_stream"]);
    // Use does not prolong it, or nobody would ever come back to WebSockets.
    expect(storage.kept.get("instant.way")).toBe(kept);
    expect(await open("http_stream")).toEqual(["http_stream", "websocket"]);
    expect(storage.way).toBe("");
    await open("websocket");
    expect(storage.way).toBe(address);
    // Also where nothing works, so that the next page begins with the first choice again.
    expect((await open("http_stream", "websocket")).slice(0, 2)).toEqual(["http_stream", "websocket"]);
    expect(storage.way).toBe("");
    expect(await open("websocket")).toEqual(["websocket", "http_stream"]);
    const now = vi.spyOn(Date, "now").mockImplementation(() => performance.timeOrigin + performance.now() + 16 * 60_000);
    expect(await open()).toEqual(["websocket"]);
    now.mockRestore();
  });

  test("the first choice is nothing to remember", async () => {
    const storage = new Storage();
    vi.stubGlobal("sessionStorage", storage);
    await open();
    expect(storage.kept.size).toBe(0);
  });

  test.each([
    ["forbids it", () => { throw new DOMException("denied", "SecurityError"); }],
    ["holds nonsense", () => ({ getItem: () => "{}", setItem: () => { throw new DOMException("full", "QuotaExceededError"); } })],
  ])("a browser that %s does without", async (_what, get) => {
    Object.defineProperty(globalThis, "sessionStorage", { configurable: true, get });
    try {
      expect(await open("websocket")).toEqual(["websocket", "http_stream"]);
      expect(await open("websocket")).toEqual(["websocket", "http_stream"]);
    } finally {
      Reflect.deleteProperty(globalThis, "sessionStorage");
    }
  });

  test("an address that Django no longer names is not tried", async () => {
    const storage = new Storage();
    vi.stubGlobal("sessionStorage", storage);
    storage.setItem("instant.way", JSON.stringify(["http://elsewhere.invalid/connection/http_stream", Date.now() + 60_000]));
    expect(await open()).toEqual(["websocket"]);
  });
});
