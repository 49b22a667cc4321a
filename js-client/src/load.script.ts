/** Takes the place of `load.ts` in the script for browsers. */
import { RequestError } from "./errors.js";
import type { Parts } from "./load.js";
import type { PageConfig } from "./options.js";
import type { CallOptions } from "./types.js";

/** Milliseconds for a part. */
const PATIENCE = 10_000;
/** Milliseconds until the next attempt to load a script, where the one before failed; each waits twice as long. */
const RETRY = 500;

let own: HTMLScriptElement | null;
let page: Partial<PageConfig>;
const loading: Partial<Record<keyof Parts, Promise<unknown>>> = {};

/** Remembers the script's own element: the others are beside it, if the page doesn't say where, and have its nonce. */
export function setScript(script: HTMLScriptElement | null, config: Partial<PageConfig>): void {
  own = script;
  page = config;
}

/** A script element, because a module of another host would need its permission (CORS). It hands over its functions. */
function loadScript(src: string, wait: number): Promise<unknown> {
  return new Promise((resolve) => {
    const script = document.createElement("script");
    script.src = src;
    if (own?.nonce) script.nonce = own.nonce;
    script.onload = () => {
      resolve(script);
    };
    script.onerror = () => {
      setTimeout(() => {
        resolve(loadScript(src, wait * 2));
      }, wait);
    };
    document.head.append(script);
  });
}

/** Loads a part when it is used first. Rejects if it isn't there in time, and goes on trying. */
export function load<Name extends keyof Parts>(name: Name, { timeout = PATIENCE, signal }: CallOptions = {}): Promise<Parts[Name]> {
  return new Promise((resolve, reject) => {
    const url = page[name] ?? (own?.src ?? "").replace(/[^/]*$/, `instant.${name}.min.js`);
    const fail = (): void => {
      reject((signal?.aborted ? signal.reason : new RequestError(`${url} was not loaded`)) as Error);
    };
    const timer = setTimeout(fail, timeout);
    signal?.addEventListener("abort", fail);
    void (loading[name] ??= loadScript(url, RETRY)).then((part) => {
      resolve(part as Parts[Name]);
      clearTimeout(timer);
      signal?.removeEventListener("abort", fail);
    });
  });
}
