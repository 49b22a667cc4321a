/** A page for the committed script: a context of Node that has what the script uses of a window. */
import { readFileSync } from "node:fs";
import { createContext, runInContext } from "node:vm";

import { WebSocket } from "ws";

const read = (name: string): string => readFileSync(new URL(`../../instant/static/instant/${name}`, import.meta.url), "utf8");
const script = read("instant.min.js");

/** An element that a script appends to the page's head. */
interface ScriptElement {
  src: string;
  nonce?: string;
  readonly onload: () => void;
  readonly onerror: () => void;
}

/** The value of the script tag's `data-instant`, with what Django at `origin` writes there. */
export function pageConfig(origin: string, more: object = {}): string {
  const view = (name: string): string => `${origin}/instant/${name}/`;
  const urls = Object.fromEntries(["login", "get_token", "subscribe", "logout"].map((name) => [name, view(name)]));
  return JSON.stringify({ urls, csrf: { cookie: "csrftoken", header: "X-CSRFToken" }, ...more });
}

/**
 * Opens a page at `origin` and runs the script there. `calls` lists requests and uses of the console, `scripts` the
 * scripts that were loaded later; while `isCut` they can't be.
 */
export function openWindow(origin: string, dataset: Record<string, string>, before: object = {}): Record<string, unknown> {
  const calls: string[] = [];
  const scripts: object[] = [];
  const source = `${origin}/static/instant/instant.min.js?v=1`;
  const append = (element: ScriptElement): void => {
    const { src, nonce } = element;
    scripts.push({ src, nonce });
    queueMicrotask(() => {
      if (window["isCut"]) {
        element.onerror();
        return;
      }
      const document = window["document"] as { currentScript: object | null };
      document.currentScript = element;
      runInContext(read(/[^/]+$/.exec(src.replace(/\?.*/, ""))?.[0] ?? ""), window);
      document.currentScript = null;
      element.onload();
    });
  };
  const window: Record<string, unknown> = {
    calls,
    scripts,
    isCut: false,
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
    document: {
      currentScript: { dataset, src: source, nonce: "n0nce" },
      cookie: "",
      addEventListener: () => undefined,
      createElement: () => ({}),
      head: { append },
      ...(before as { document?: object }).document,
    },
  };
  window["window"] = window;
  createContext(window);
  runInContext(script, window);
  return window;
}
