/** Rows that Django shows to this page's user, and the page that says which list it is. */

/** What Django has put into the page about a list. */
export interface ListConfig {
  readonly channel: string;
  /** Sent back to have rows; it ends after `life` seconds. */
  readonly ref: string;
  /** The address where rows are asked for. */
  readonly rows: string;
  readonly life: number;
  /** The address of what the list is in; missing if that isn't asked with GET. */
  readonly page?: string;
}

/** Django's answer. */
export interface Rows<Row> {
  readonly rows: Readonly<Record<string, Row>>;
  /** What isn't in the list, or not for this user. */
  readonly gone: readonly string[];
}

/** Django takes the reference no longer: another one is needed. */
export class Refused extends Error {}

const PATIENCE = 20_000;

/** Asks for rows as the page's user. */
export async function fetchRows<Row>(config: ListConfig, keys: readonly string[], headers: Record<string, string>): Promise<Rows<Row>> {
  const response = await fetch(config.rows, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify({ ref: config.ref, keys }),
    credentials: "same-origin",
    signal: AbortSignal.timeout(PATIENCE),
  });
  if (response.status === 401 || response.status === 403) throw new Refused();
  if (!response.ok) throw new Error(`rows: ${String(response.status)}`);
  return response.json() as Promise<Rows<Row>>;
}

/** Pages that are being asked for: several lists of one page ask once. */
const asked = new Map<string, Promise<string>>();

/** Asks for the page once more, as its user. Rejects with `Refused` where that is another page now, as one to log in. */
export function fetchPage(address: string): Promise<string> {
  let page = asked.get(address);
  if (!page) {
    page = ask(address);
    asked.set(address, page);
    const forget = (): void => { asked.delete(address); };
    page.then(() => setTimeout(forget, 1000), forget);
  }
  return page;
}

async function ask(address: string): Promise<string> {
  const response = await fetch(address, {
    headers: { Accept: "text/html" },
    credentials: "same-origin",
    signal: AbortSignal.timeout(PATIENCE),
  });
  if ([401, 403, 404, 410].includes(response.status)) throw new Refused();
  if (!response.ok) throw new Error(`${address}: ${String(response.status)}`);
  return response.text();
}
