/** What this client takes from the SDK beyond its interface. A new minor version has to keep it. */
import { readdirSync, readFileSync } from "node:fs";

import { Centrifuge, type TransportEndpoint } from "centrifuge";
import { expect, test } from "vitest";
import { WebSocket } from "ws";

import { resolveConfig } from "../src/config.js";
import { Transports } from "../src/transports.js";
import type { WebSocketConstructor } from "../src/options.js";

const root = new URL("../", import.meta.url);
const read = (file: string): unknown => JSON.parse(readFileSync(new URL(file, root), "utf8"));

/** What `src/calls/ask.ts` uses: the time for an answer, read when a call begins, and how a call begins at once. */
const CALLS = ["_callPromise", "_config"];
/** The token that a connection begins with: `src/shared/link.ts` asks whose it is. */
const TOKEN = "_token";
/** The fields that `src/transports.ts` sets, with what the SDK has in them at first. */
const FIELDS = { _currentTransportIndex: 0, _transportWasOpen: false, _triedAllTransports: false };

function create(endpoints: TransportEndpoint[] = [{ transport: "websocket", endpoint: "ws://127.0.0.1:9" }]): Centrifuge {
  return new Centrifuge(endpoints, { websocket: WebSocket });
}

test.each(Object.entries(FIELDS))("the private field %s is there", (name, value) => {
  const client = create();
  expect(Object.getOwnPropertyDescriptor(client, name)?.value).toBe(value);
});

test("no other private field is touched", () => {
  const all = readdirSync(new URL("src/", root), { recursive: true, encoding: "utf8" });
  // What shows HTML knows fields of htmx, Alpine and idiomorph, and the public interface of this package only.
  const sources = all.filter((name) => name.endsWith(".ts") && !name.startsWith("live/"));
  const named = sources.flatMap((name) => readFileSync(new URL(`src/${name}`, root), "utf8").match(/(?<!--|\()\b_[a-z]\w+/gi) ?? []);
  expect([...new Set(named)].sort()).toEqual([...CALLS, TOKEN, ...Object.keys(FIELDS)].sort());
});

test("the token is there before the connection is made", async () => {
  let seen: unknown;
  const client: Centrifuge = new Centrifuge([{ transport: "websocket", endpoint: "ws://127.0.0.1:9" }], {
    getToken: () => Promise.resolve("of nobody"),
    websocket: function () {
      seen = Reflect.get(client, TOKEN);
      client.disconnect();
      return {};
    },
  });
  client.connect();
  await expect.poll(() => seen).toBe("of nobody");
  client.setToken("newer");
  expect(Reflect.get(client, TOKEN)).toBe("newer");
});

test("a call begins at once, with the time that the config has then", async () => {
  const client = create();
  const config = Reflect.get(client, "_config") as { timeout: number };
  const call = Reflect.get(client, "_callPromise") as (command: object, answerOf: () => unknown) => Promise<unknown>;
  config.timeout = 20;
  const answer = call.call(client, { rpc: {} }, () => undefined);
  config.timeout = 60_000;
  await expect(answer).rejects.toMatchObject({ code: 1 });
});

test("the list of transports is kept as it is, so that changes to it reach the SDK", () => {
  const endpoints: TransportEndpoint[] = [{ transport: "websocket", endpoint: "ws://127.0.0.1:9" }];
  expect(Reflect.get(create(endpoints), "_transports")).toBe(endpoints);
});

test("a failed attempt goes on with the transport that the fields name", () => {
  const config = resolveConfig({ backend: "http://127.0.0.1:9", WebSocket: WebSocket as unknown as WebSocketConstructor });
  const transports = new Transports(config);
  transports.setUrls(["ws://127.0.0.1:9/connection/websocket"]);
  const client = create(transports.endpoints);
  const fields = (): unknown[] => Object.keys(FIELDS).map((name) => Reflect.get(client, name) as unknown);
  Reflect.set(client, "_currentTransportIndex", 2);
  Reflect.set(client, "_transportWasOpen", true);
  transports.failed(client, 2);
  expect(fields()).toEqual([2, false, false]);
  transports.restart(client);
  expect(fields()).toEqual([0, false, true]);
});

test("the object that stands for a token is kept as it is", () => {
  const token = { toJSON: () => "newest" };
  const getToken = (): Promise<string> => Promise.resolve("");
  const subscription = create().newSubscription("a", { token: token as unknown as string, getToken });
  expect(Reflect.get(subscription, "_token")).toBe(token);
});

test("the SDK is pinned to the minor version that this file was written for", () => {
  const { dependencies } = read("package.json") as { dependencies: { centrifuge: string } };
  const { version } = read("node_modules/centrifuge/package.json") as { version: string };
  expect(dependencies.centrifuge).toBe(`~${version.split(".").slice(0, 2).join(".")}`);
});
