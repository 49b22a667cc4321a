/** A page for the committed script: a context of Node that has what the script uses of a window. */
import { readFileSync } from "node:fs";
import { createContext, runInContext } from "node:vm";

import { WebSocket } from "ws";

const script = readFileSync(new URL("../../instant/static/instant/instant.min.js", import.meta.url), "utf8");

/** The value of the script tag's `data-instant`, with what Django at `origin` writes there. */
export function pageConfig(origin: string, more: object = {}): string {
  const view = (name: string): string => `${origin}/instant/${name}/`;
  const urls = Object.fromEntries(["login", "get_token", "subscribe", "logout"].map((name) => [name, view(name)]));
  return JSON.stringify({ urls, csrf: { cookie: "csrftoken", header: "X-CSRFToken" }, ...more });
}

/** Opens a page at `origin` and runs the script there. `calls` lists requests and uses of the console. */
export function openWindow(origin: string, dataset: Record<string, string>, before: object = {}): Record<string, unknown> {
  const calls: string[] = [];
  const window: Record<string, unknown> = {
    calls,
    location: new URL(origin),
    addEventListener: () => undefined,
    fetch: (...given: Parameters<typeof fetch>) => {
      calls.push("fetch");
      return fetch(...given);
    },
    WebSocket,
    AbortController,
    AbortSignal,
    TextEncoder,
    URL,
    atob,
    crypto,
    clearTimeout,
    queueMicrotask,
    setTimeout,
    console: new Proxy({}, { get: () => () => calls.push("console") }),
    ...before,
    document: { currentScript: { dataset }, cookie: "", addEventListener: () => undefined, ...(before as { document?: object }).document },
  };
  window["window"] = window;
  createContext(window);
  runInContext(script, window);
  return window;
}
