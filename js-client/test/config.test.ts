import { afterEach, describe, expect, test, vi } from "vitest";

import { resolveConfig, setPageConfig } from "../src/config.js";
import { ConfigError } from "../src/errors.js";
import type { PageConfig, WebSocketConstructor } from "../src/options.js";

const WebSocket = (() => undefined) as unknown as WebSocketConstructor;
const PAGE = {
  urls: { login: "/live/in/", get_token: "/live/token/", subscribe: "/live/subscribe/", logout: "/live/out/" },
  csrf: { cookie: "my_csrf", header: "X-My-CSRF" },
};

afterEach(() => {
  setPageConfig(undefined);
  vi.unstubAllGlobals();
});

test("the page's settings are used", () => {
  setPageConfig({ ...PAGE, tokenless: ["open"], prefix: "acme/" });
  expect(resolveConfig({ WebSocket })).toMatchObject({ ...PAGE, tokenless: ["open"], prefix: "acme/" });
  expect(resolveConfig({ WebSocket, prefix: "globex/" }).prefix).toBe("globex/");
});

test("each option wins over the page", () => {
  setPageConfig(PAGE);
  const { urls, csrf } = resolveConfig({ WebSocket, urls: { login: "/other/" }, csrf: { cookie: "c" } });
  expect(urls).toEqual({ ...PAGE.urls, login: "/other/", presence: undefined, history: undefined });
  expect(csrf).toEqual({ cookie: "c", header: "X-My-CSRF" });
});

test("a backend on the page's own site uses the page's URLs, whatever their path", () => {
  vi.stubGlobal("location", new URL("http://localhost:8000/page"));
  setPageConfig(PAGE);
  expect(resolveConfig({ WebSocket, backend: "http://localhost:8000" }).urls).toMatchObject(PAGE.urls);
  expect(resolveConfig({ WebSocket, backend: "http://other:8000/" }).urls.login).toBe("http://other:8000/instant/login/");
});

test("merging does not change options and page", () => {
  setPageConfig(PAGE);
  const options = { WebSocket, urls: { login: "/other/" } };
  const before = JSON.stringify([PAGE, options]);
  resolveConfig(options);
  expect(JSON.stringify([PAGE, options])).toBe(before);
});

test.each([
  ["ws://host:8427", "ws://host:8427/connection/websocket"],
  ["wss://host/live/", "wss://host/live/connection/websocket"],
  ["ws://host/connection/websocket", "ws://host/connection/websocket"],
])("the message server %s is reached at %s", (given, used) => {
  expect(resolveConfig({ WebSocket, backend: "http://host", websocketUrl: given }).websocketUrls).toEqual([used]);
  expect(resolveConfig({ WebSocket, backend: "http://host", websocketUrl: [given, given] }).websocketUrls).toEqual([used, used]);
});

describe("a missing setting is named", () => {
  test("no URLs", () => {
    expect(() => resolveConfig({ WebSocket })).toThrow(/instant_script/);
  });

  test("no WebSocket", () => {
    vi.stubGlobal("WebSocket", undefined);
    expect(() => resolveConfig({ backend: "http://host" })).toThrow(ConfigError);
  });

  test("a URL that the page lacks", () => {
    setPageConfig({ urls: { login: "/" } } as PageConfig);
    expect(() => resolveConfig({ WebSocket })).toThrow(/get_token/);
  });

  test("CSRF names have Django's defaults", () => {
    setPageConfig({ urls: PAGE.urls });
    expect(resolveConfig({ WebSocket }).csrf).toEqual({ cookie: "csrftoken", header: "X-CSRFToken" });
  });
});
