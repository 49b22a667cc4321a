import { parse } from "./parse.js";

/** Milliseconds for which one answer serves all fragments of the page. */
const SHARED = 2000;
/** Milliseconds for it: all who ask meanwhile wait for the same. */
const PATIENCE = 20_000;

let loading: Promise<DocumentFragment | undefined> | undefined;

/** Returns what the page's own address shows now, once for all that ask in the same moment; `undefined` if it fails. */
export function freshPage(): Promise<DocumentFragment | undefined> {
  return (loading ??= load().finally(() => {
    setTimeout(() => { loading = undefined; }, SHARED);
  }));
}

async function load(): Promise<DocumentFragment | undefined> {
  try {
    const response = await fetch(location.href, {
      headers: { Accept: "text/html" },
      credentials: "same-origin",
      cache: "reload",
      signal: AbortSignal.timeout(PATIENCE),
    });
    return response.ok ? parse(await response.text(), document.body) : undefined;
  } catch {
    return undefined;
  }
}
