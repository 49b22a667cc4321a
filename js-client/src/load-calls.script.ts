/** Takes the place of `load-calls.ts` in the script for browsers. */
import type * as Calls from "./calls/index.js";
import { RequestError } from "./errors.js";
import type { CallOptions } from "./types.js";

/** Milliseconds for the first call. */
const PATIENCE = 10_000;
/** Milliseconds until the next attempt to load the script, where the one before failed; each waits twice as long. */
const RETRY = 500;

let url: string;
let nonce: string | undefined;
let loading: Promise<typeof Calls> | undefined;

/** Remembers the script's own element: the other script is beside it, if the page doesn't say where, and has its nonce. */
export function setScript(script: HTMLScriptElement | null, calls?: string): void {
  url = calls ?? (script?.src ?? "").replace(/[^/]*$/, "instant.calls.min.js");
  nonce = script?.nonce;
}

/** A script element, because a module of another host would need its permission (CORS). It hands over its functions. */
function load(wait: number): Promise<typeof Calls> {
  return new Promise((resolve) => {
    const script = document.createElement("script");
    script.src = url;
    if (nonce) script.nonce = nonce;
    script.onload = () => {
      resolve(script as unknown as typeof Calls);
    };
    script.onerror = () => {
      setTimeout(() => {
        resolve(load(wait * 2));
      }, wait);
    };
    document.head.append(script);
  });
}

/** Loads the script with the first call. */
export function loadCalls({ timeout = PATIENCE, signal }: CallOptions = {}): Promise<typeof Calls> {
  return new Promise((resolve, reject) => {
    const fail = (): void => {
      reject((signal?.aborted ? signal.reason : new RequestError(`${url} was not loaded`)) as Error);
    };
    setTimeout(fail, timeout);
    signal?.addEventListener("abort", fail);
    void (loading ??= load(RETRY)).then(resolve);
  });
}
