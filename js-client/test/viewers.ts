/**
 * Viewers of one fragment, each with a connection and questions of its own, as `make bench BENCH=fragments` counts them.
 *
 *   node viewers.built.mjs SITE PAGE NUMBER
 *
 * Says "ready" when all listen. For each line that it reads it waits until all have been answered once more, and says
 * when they asked.
 */
import { createInterface } from "node:readline";

import WebSocket from "ws";

import { createInstant } from "../src/instant.js";
import type { WebSocketConstructor } from "../src/options.js";
import { Fetching, type Answer, type Asking } from "../src/live/fetching.js";

const [site = "", path = "", number = "1"] = process.argv.slice(2);
const nothing = (): undefined => undefined;
Object.assign(globalThis, {
  addEventListener: nothing,
  document: { hidden: false, cookie: "", addEventListener: nothing, querySelectorAll: () => [] },
});

/** When requests were sent, and what the cache in between said of them. */
let sent: number[] = [];
let cached: string[] = [];
const real = globalThis.fetch;
globalThis.fetch = async (url, options) => {
  const isCounted = (url as string).includes("/instant/fragments/");
  if (isCounted) sent.push(performance.now());
  // As a browser says it.
  const response = await real(url, { ...options, headers: { ...(options?.headers as Record<string, string>), Origin: site } });
  if (isCounted) cached.push(response.headers.get("x-cache") ?? "");
  return response;
};

class Viewer implements Asking {
  reference: string;
  spread: number;
  readonly #isPublic: boolean;
  #newest: string;
  readonly #epoch: string;
  answers = 0;

  constructor(attributes: Map<string, string>) {
    const get = (name: string): string => attributes.get(name) ?? "";
    [this.reference, this.spread] = [get("ref"), Number(get("window"))];
    [this.#newest, this.#epoch, this.#isPublic] = [get("offset"), get("epoch"), attributes.has("public")];
    const instant = createInstant({ backend: site, WebSocket: WebSocket as unknown as WebSocketConstructor, timeout: 60_000 });
    const fetching = new Fetching(`${site}/instant/fragments/`, 3600);
    const channel = instant.channel(get("channel"));
    const since = { offset: Number(this.#newest), epoch: this.#epoch };
    channel.on("*", ({ offset }) => {
      this.#newest = String(offset);
      fetching.want(this);
    }, { since });
    this.listens = channel.subscribed();
  }

  readonly listens: Promise<void>;

  get version(): string | undefined {
    return this.#isPublic ? `${this.#newest}.${this.#epoch}` : undefined;
  }

  answered(answer: Answer): void {
    if (answer.html === undefined) throw new Error(`not shown: ${JSON.stringify(answer)}`);
    this.spread = Number(answer["window"]);
    this.reference = String(answer["ref"]);
    this.answers += 1;
  }
}

async function arrive(): Promise<Viewer> {
  const html = await (await fetch(site + path)).text();
  const [, text = ""] = /<instant-live([^>]*)>/.exec(html) ?? [];
  const viewer = new Viewer(new Map([...text.matchAll(/([\w-]+)="([^"]*)"/g)].map(([, name = "", value = ""]) => [name, value])));
  await viewer.listens;
  return viewer;
}

const viewers: Viewer[] = [];
while (viewers.length < Number(number)) viewers.push(...(await Promise.all(Array.from({ length: 20 }, arrive))));
process.stdout.write("ready\n");

let rounds = 0;
for await (const line of createInterface({ input: process.stdin })) {
  if (line) rounds += 1;
  while (viewers.some(({ answers }) => answers < rounds)) await new Promise((resolve) => setTimeout(resolve, 50));
  const spread = Math.round(Math.max(...sent) - Math.min(...sent));
  const busiest = Math.max(...sent.map((from) => sent.filter((at) => at >= from && at < from + 100).length));
  process.stdout.write(`${JSON.stringify({ requests: sent.length, spread, busiest, hits: cached.filter((one) => one === "HIT").length })}\n`);
  [sent, cached] = [[], []];
}
process.exit();
