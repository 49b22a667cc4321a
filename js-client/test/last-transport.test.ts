/** The transport that worked is stored for the next pages of the tab. */
import { expect, test, vi } from "vitest";
import { WebSocket } from "ws";

import type { WebSocketConstructor } from "../src/options.js";
import { until, useSite } from "./site.js";

const site = useSite();

/** Stands for `sessionStorage`. */
class Storage {
  readonly kept = new Map<string, string>();
  getItem = (key: string): string | null => this.kept.get(key) ?? null;
  setItem = (key: string, value: string): unknown => this.kept.set(key, value);
  get endpoint(): unknown {
    const [endpoint] = JSON.parse(this.kept.get("instant.transport") ?? "[]") as unknown[];
    return endpoint;
  }
}

/** Opens a page and returns the transports that it tried; those in `blocked` do not work. */
async function open(...blocked: string[]): Promise<string[]> {
  const isPossible = blocked.length < 2;
  const tried: string[] = [];
  const attempt = (transport: string): void => {
    tried.push(transport);
    if (blocked.includes(transport)) throw new TypeError("blocked");
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

test("the next page starts with it, for a while, and removes it when it fails", async () => {
  const storage = new Storage();
  vi.stubGlobal("sessionStorage", storage);
  const address = site.centrifugo.url.replace("ws:", "http:").replace("websocket", "http_stream");
  expect(await open("websocket")).toEqual(["websocket", "http_stream"]);
  expect(storage.endpoint).toBe(address);
  const kept = storage.kept.get("instant.transport");
  expect(await open("websocket")).toEqual(["http_stream"]);
  // Using it does not extend its time, or the tab would never return to WebSockets.
  expect(storage.kept.get("instant.transport")).toBe(kept);
  expect(await open("http_stream")).toEqual(["http_stream", "websocket"]);
  expect(storage.endpoint).toBe("");
  await open("websocket");
  expect(storage.endpoint).toBe(address);
  // It is removed also when nothing works, so that the next page starts with the first choice.
  expect((await open("http_stream", "websocket")).slice(0, 2)).toEqual(["http_stream", "websocket"]);
  expect(storage.endpoint).toBe("");
  expect(await open("websocket")).toEqual(["websocket", "http_stream"]);
  const now = vi.spyOn(Date, "now").mockImplementation(() => performance.timeOrigin + performance.now() + 16 * 60_000);
  expect(await open()).toEqual(["websocket"]);
  now.mockRestore();
});

test("the first choice is not stored", async () => {
  const storage = new Storage();
  vi.stubGlobal("sessionStorage", storage);
  await open();
  expect(storage.kept.size).toBe(0);
});

test.each([
  ["is forbidden", () => { throw new DOMException("denied", "SecurityError"); }],
  ["holds nonsense", () => ({ getItem: () => "{}", setItem: () => { throw new DOMException("full", "QuotaExceededError"); } })],
])("the client works in a browser whose storage %s", async (_what, get) => {
  Object.defineProperty(globalThis, "sessionStorage", { configurable: true, get });
  try {
    expect(await open("websocket")).toEqual(["websocket", "http_stream"]);
    expect(await open("websocket")).toEqual(["websocket", "http_stream"]);
  } finally {
    Reflect.deleteProperty(globalThis, "sessionStorage");
  }
});

test("an address that Django does not name any more is not tried", async () => {
  const storage = new Storage();
  vi.stubGlobal("sessionStorage", storage);
  storage.setItem("instant.transport", JSON.stringify(["http://elsewhere.invalid/connection/http_stream", Date.now() + 60_000]));
  expect(await open()).toEqual(["websocket"]);
});
