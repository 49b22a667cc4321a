/** The key in `sessionStorage`, which belongs to the tab. */
const KEY = "instant.transport";
/**
 * Milliseconds for which an entry counts. Using it does not extend the time: the laptop may be on a better
 * network by now, and only an attempt with the first choice can show that.
 */
const LIFE = 15 * 60_000;

/**
 * Returns the endpoint that worked on an earlier page of this tab after the first choice had failed, else
 * `""`. What blocked WebSockets on that page blocks them here too, and each page would have to find out.
 */
export function lastTransport(): string {
  // Reading `sessionStorage` throws if storage is forbidden, and JSON.parse() if there is no entry.
  try {
    const [endpoint, until] = JSON.parse(sessionStorage.getItem(KEY) ?? "") as [string, number];
    return Date.now() < until ? endpoint : "";
  } catch {
    return "";
  }
}

/** Stores the endpoint for the tab's next pages; `""` removes it. */
export function setLastTransport(endpoint: string): void {
  try {
    sessionStorage.setItem(KEY, JSON.stringify([endpoint, Date.now() + LIFE]));
  } catch {
    // Storage is forbidden or full: the next page will find out by itself.
  }
}
