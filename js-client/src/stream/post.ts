/** Django refuses it: another login may change that, another attempt doesn't. */
export class Refused extends Error {}

/** Milliseconds for an answer: what follows waits for it. */
const PATIENCE = 20_000;

/** Sends JSON to a view of Django, and returns the object that it answers. */
export async function post(url: string, body: object): Promise<unknown> {
  const response = await fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    credentials: "same-origin",
    signal: AbortSignal.timeout(PATIENCE),
  });
  if (response.status === 401 || response.status === 403) throw new Refused(String(response.status));
  if (!response.ok) throw new Error(String(response.status));
  return response.json();
}
