/** Where the browser keeps it: for this tab, gone with it. */
const KEY = "instant.transport";
/**
 * Milliseconds for which it counts. Not prolonged by use: a laptop may be on a better network by now, and
 * only the first choice can find out.
 */
const LIFE = 15 * 60_000;

/**
 * The way to connect that worked on an earlier page of this tab where the first choice did not: what blocked
 * WebSockets there blocks them here too, and each page would find out anew. `""` where there is none.
 */
export function lastTransport(): string {
  // Where storage is forbidden its very name throws; what was never kept is no JSON. Both: nothing.
  try {
    const [endpoint, until] = JSON.parse(sessionStorage.getItem(KEY) ?? "") as [string, number];
    return Date.now() < until ? endpoint : "";
  } catch {
    return "";
  }
}

/** Keeps it for the tab's next pages; `""` forgets it. */
export function setLastTransport(endpoint: string): void {
  try {
    sessionStorage.setItem(KEY, JSON.stringify([endpoint, Date.now() + LIFE]));
  } catch {
    // Forbidden, or full: the next page finds out by itself.
  }
}
