/** A list's keys and rows: what Django tells, in whatever order it comes, and what is asked for. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import type { Instant } from "../src/instant.js";
import { Follower, type ListView } from "../src/live/follower.js";
import { liveList, type LiveRows } from "../src/live/live-list.js";
import { Refused, type ListConfig } from "../src/live/rows.js";

const CONFIG: ListConfig = { channel: "instant.list:a", ref: "ref", rows: "/instant/rows/", life: 3600 };

/** The page's connection, with one channel: the test tells what comes. */
class FakeChannel {
  draws = new Set<(state: unknown, message?: object) => void>();
  statuses = new Set<(status: string) => void>();
  name = CONFIG.channel;

  state(draw: (state: unknown, message?: object) => void, { signal }: { signal: AbortSignal }): void {
    this.draws.add(draw);
    signal.addEventListener("abort", () => this.draws.delete(draw));
  }
  onStatus(hear: (status: string) => void, { signal }: { signal: AbortSignal }): void {
    this.statuses.add(hear);
    signal.addEventListener("abort", () => this.statuses.delete(hear));
  }
  begin(state: unknown): void {
    for (const draw of [...this.draws]) draw(state);
  }
  tell(data: object, more: object = {}): void {
    for (const draw of [...this.draws]) draw(undefined, { eventClass: "instant:list", client: "", data, ...more });
  }
}

let channel: FakeChannel;
let instant: Instant;
/** Django's rows, and the keys that it was asked for. */
let rows: Record<string, string>;
let asked: string[][];
let status: number;

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, "random").mockReturnValue(0.5);
  channel = new FakeChannel();
  instant = { channel: () => channel, headers: () => ({}) } as unknown as Instant;
  rows = {};
  asked = [];
  status = 200;
  vi.stubGlobal("fetch", (_url: string, { body }: { body: string }) => {
    const { keys } = JSON.parse(body) as { keys: string[] };
    asked.push(keys);
    const found = Object.fromEntries(keys.filter((key) => key in rows).map((key) => [key, rows[key]]));
    const answer = { rows: found, gone: keys.filter((key) => !(key in rows)) };
    return Promise.resolve({ ok: status === 200, status, json: () => Promise.resolve(answer) });
  });
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

/** Rows in their order, as an element keeps them. */
class View implements ListView<string> {
  shown: [string, string][];
  denials = 0;
  renewals = 0;
  next: (() => Promise<ListConfig | undefined>) | undefined;

  constructor(...shown: [string, string][]) {
    this.shown = shown;
  }
  has(key: string): boolean {
    return this.shown.some(([other]) => other === key);
  }
  show(key: string, row: string, next: string | undefined): void {
    const place = this.shown.findIndex(([other]) => other === key);
    if (place >= 0) this.shown[place] = [key, row];
    else this.#put([key, row], next);
  }
  move(key: string, next: string | undefined): void {
    const place = this.shown.findIndex(([other]) => other === key);
    this.#put(this.shown.splice(place, 1)[0] as [string, string], next);
  }
  hide(key: string): void {
    this.shown = this.shown.filter(([other]) => other !== key);
  }
  keep(keys: ReadonlySet<string>): void {
    this.shown = this.shown.filter(([key]) => keys.has(key));
  }
  renew(): Promise<ListConfig | undefined> {
    this.renewals += 1;
    return this.next?.() ?? Promise.resolve(CONFIG);
  }
  denied(): void {
    this.denials += 1;
  }
  failed(): void {
    // it tries again
  }
  get text(): string {
    return this.shown.map(([, row]) => row).join(" ");
  }
  #put(one: [string, string], next: string | undefined): void {
    const place = this.shown.findIndex(([key]) => key === next);
    this.shown.splice(place < 0 ? this.shown.length : place, 0, one);
  }
}

function follow(...shown: [string, string][]): [View, Follower<string>] {
  const view = new View(...shown);
  const follower = new Follower(instant, CONFIG, shown.map(([key]) => key), view);
  follower.start();
  return [view, follower];
}

const enter = (v: number, key: string, before: string | null): object => ({ v, ops: [{ op: "enter", key, before }] });
const soon = (): Promise<unknown> => vi.advanceTimersByTimeAsync(100);

test("rows enter where they belong, move, change and leave", async () => {
  const [view] = follow(["1", "a"], ["2", "c"]);
  channel.begin({ v: 5, page: true });
  rows = { 3: "b" };
  channel.tell(enter(6, "3", "2"));
  await soon();
  expect(view.text).toBe("a b c");
  rows = { 3: "d", 1: "A" };
  channel.tell({ v: 7, ops: [{ op: "move", key: "3", before: null }, { op: "change", key: "1" }] });
  expect(view.text).toBe("a c b");
  await soon();
  expect(view.text).toBe("A c d");
  channel.tell({ v: 8, ops: [{ op: "leave", key: "2" }] });
  expect(view.text).toBe("A d");
  await soon();
  expect(asked).toEqual([["3"], ["3", "1"]]);
});

test("changes of a moment are one request, and what has left is not asked for", async () => {
  const [view] = follow();
  channel.begin({ v: 1, page: true });
  rows = { 1: "a", 2: "b" };
  channel.tell(enter(2, "1", null));
  channel.tell(enter(3, "2", null));
  channel.tell({ v: 4, ops: [{ op: "leave", key: "1" }] });
  await soon();
  expect(asked).toEqual([["2"]]);
  expect(view.text).toBe("b");
});

test("what comes too early waits, and what never comes makes it ask for the keys", async () => {
  const [view] = follow();
  channel.begin({ v: 1, page: true });
  rows = { 1: "a", 2: "b", 3: "c" };
  channel.tell(enter(3, "2", null));
  expect(view.text).toBe("");
  channel.tell(enter(2, "1", null));
  await soon();
  expect(view.text).toBe("a b");
  channel.tell(enter(5, "3", null));
  await vi.advanceTimersByTimeAsync(1100);
  channel.begin({ v: 5, keys: ["3", "2"] });
  await soon();
  expect(view.text).toBe("c b");
});

test("what the state has already is not done again, and another version of it asks for rows", async () => {
  const [view] = follow(["1", "a"]);
  channel.begin({ v: 5, page: true });
  channel.begin({ v: 5, keys: ["1"] });
  channel.tell(enter(5, "9", null));
  await soon();
  expect(asked).toEqual([]);
  rows = { 1: "b" };
  channel.begin({ v: 6, keys: ["1"] });
  await soon();
  expect(view.text).toBe("b");
});

test("a list of which too much has changed is asked for as a whole", async () => {
  const [view] = follow(["1", "a"]);
  channel.begin({ v: 1, page: true });
  channel.tell({ v: 2, reset: true });
  rows = { 2: "b" };
  channel.begin({ v: 2, keys: ["2"] });
  await soon();
  expect(view.text).toBe("b");
});

test("rows that the user may not see have no place, and their neighbours keep theirs", async () => {
  const [view, follower] = follow(["2", "b"]);
  channel.begin({ v: 1, page: true, keys: ["1", "2", "3"] });
  rows = { 4: "d" };
  channel.tell(enter(2, "4", "3"));
  await soon();
  expect(view.text).toBe("b d");
  channel.tell(enter(3, "5", "1"));
  await soon();
  expect(view.text).toBe("b d");
  expect(follower.keys).toEqual(["5", "1", "2", "4", "3"]);
});

test("a public list has its rows with it", async () => {
  const [view] = follow();
  channel.begin({ v: 1, page: true });
  channel.tell({ ...enter(2, "1", null), rows: { 1: "a" } });
  expect(view.text).toBe("a");
  await soon();
  expect(asked).toEqual([]);
});

test("a row that came while it was asked for is newer than the answer", async () => {
  const [view] = follow(["1", "a"]);
  const send: (() => void)[] = [];
  vi.stubGlobal("fetch", () => new Promise((resolve) => {
    send.push(() => { resolve({ ok: true, status: 200, json: () => Promise.resolve({ rows: { 1: "b" }, gone: ["2"] }) }); });
  }));
  channel.begin({ v: 1, page: true });
  channel.tell({ v: 2, ops: [{ op: "change", key: "1" }] });
  await soon();
  expect(send).toHaveLength(1);
  channel.tell({ v: 3, ops: [{ op: "change", key: "1" }], rows: { 1: "c" } });
  channel.tell({ ...enter(4, "2", null), rows: { 2: "d" } });
  send[0]?.();
  await soon();
  expect(view.text).toBe("c d");
  expect(send).toHaveLength(1);
});

test("nothing is shown that a browser has published", async () => {
  const [view] = follow();
  channel.begin({ v: 1, page: true });
  channel.tell({ ...enter(2, "1", null), rows: { 1: "evil" } }, { client: "someone" });
  channel.tell(enter(2, "1", null), { eventClass: "other" });
  await soon();
  expect([view.text, asked]).toEqual(["", []]);
});

test("many pages ask over a longer time", async () => {
  follow();
  channel.begin({ v: 1, page: true });
  channel.tell({ ...enter(2, "1", null), wait: 3000 });
  await vi.advanceTimersByTimeAsync(1400);
  expect(asked).toEqual([]);
  await vi.advanceTimersByTimeAsync(200);
  expect(asked).toEqual([["1"]]);
});

test("a reference that has ended is renewed, and the rows are asked for again", async () => {
  const [view] = follow();
  channel.begin({ v: 1, page: true });
  rows = { 1: "a" };
  status = 403;
  channel.tell(enter(2, "1", null));
  await soon();
  expect(view.renewals).toBe(1);
  status = 200;
  await vi.advanceTimersByTimeAsync(600);
  expect(view.text).toBe("a");
});

test("requests that fail are repeated, less and less often", async () => {
  follow();
  channel.begin({ v: 1, page: true });
  status = 500;
  channel.tell(enter(2, "1", null));
  await vi.advanceTimersByTimeAsync(60_000);
  expect(asked.length).toBeGreaterThan(4);
  expect(asked.length).toBeLessThan(15);
});

test("the reference is renewed before it ends, by pages that stay open", async () => {
  const [view, follower] = follow();
  await vi.advanceTimersByTimeAsync(3600 * 625 + 100);
  expect(view.renewals).toBe(1);
  await vi.advanceTimersByTimeAsync(3600 * 625 + 100);
  expect(view.renewals).toBe(2);
  follower.stop();
  await vi.advanceTimersByTimeAsync(3600 * 2000);
  expect(view.renewals).toBe(2);
});

test("a list that is refused is asked for at its page, ever more seldom, and given up where that refuses", async () => {
  const [view] = follow();
  const deny = (): void => { for (const hear of [...channel.statuses]) hear("denied"); };
  deny();
  expect(channel.draws.size).toBe(0); // so that another subscription begins
  await vi.advanceTimersByTimeAsync(5300);
  expect([view.renewals, channel.draws.size]).toEqual([1, 1]);
  deny();
  await vi.advanceTimersByTimeAsync(5300);
  expect(view.renewals).toBe(1);
  await vi.advanceTimersByTimeAsync(5300);
  expect(view.renewals).toBe(2);
  view.next = () => Promise.reject(new Refused());
  deny();
  await vi.advanceTimersByTimeAsync(30_000);
  expect([view.denials, channel.draws.size]).toEqual([1, 0]);
});

test("a list that has ended, or is kept no longer, is asked for at its page", async () => {
  const [view] = follow();
  channel.begin({ v: 1, page: true });
  channel.tell({ v: 0, end: true });
  await vi.advanceTimersByTimeAsync(2000);
  expect([view.renewals, channel.draws.size]).toEqual([1, 1]);
  channel.begin(null);
  await vi.advanceTimersByTimeAsync(2000);
  expect([view.renewals, channel.draws.size]).toEqual([2, 1]);
});

test("liveList() draws rows in order, at once and after changes, until it is ended", async () => {
  const list: LiveRows<string> = { ...CONFIG, state: null, items: [["1", "a"], ["2", "c"]] };
  const drawn: string[] = [];
  const end = liveList<string>(instant, list, (all) => drawn.push(all.join(" ")));
  channel.begin({ v: 1, page: true });
  await soon();
  rows = { 3: "b" };
  channel.tell(enter(2, "3", "2"));
  await soon();
  channel.tell({ v: 3, ops: [{ op: "leave", key: "1" }] });
  await soon();
  end();
  channel.tell({ v: 4, ops: [{ op: "leave", key: "2" }] });
  await soon();
  expect(drawn).toEqual(["a c", "a b c", "b c"]);
});

test("liveList() takes another list where that is what there is now, and none where nobody renews it", async () => {
  const items: [string, string][] = [["1", "a"]];
  const drawn: string[] = [];
  const other = { ...CONFIG, channel: "instant.list:b", state: null, items: [["2", "b"]] as [string, string][] };
  const list: LiveRows<string> = { ...CONFIG, state: null, items };
  const end = liveList<string>(instant, list, (all) => drawn.push(all.join(" ")), { renew: () => Promise.resolve(other) });
  channel.tell({ v: 0, end: true });
  await vi.advanceTimersByTimeAsync(2000);
  expect(drawn).toEqual(["a", "b"]);
  end();
  const denied = vi.fn();
  liveList<string>(instant, list, (all) => drawn.push(all.join(" ")), { onDenied: denied });
  channel.tell({ v: 0, end: true });
  await vi.advanceTimersByTimeAsync(2000);
  expect(denied).toHaveBeenCalledOnce();
  expect(drawn.at(-1)).toBe("");
  liveList<string>(instant, { ...list, channel: "", items: [] }, (all) => drawn.push(`none: ${String(all.length)}`));
  expect(drawn.at(-1)).toBe("none: 0");
});

test.each([
  ["ends", () => { channel.tell({ v: 0, end: true }); }, 2000],
  ["is refused", () => { for (const hear of [...channel.statuses]) hear("denied"); }, 6000],
])("a list that %s while its reference is renewed is followed anew", async (_what, happen, wait) => {
  const [view] = follow(["1", "a"]);
  channel.begin({ v: 1, page: true });
  let answer: (config: ListConfig) => void = () => undefined;
  view.next = () => new Promise((resolve) => { answer = resolve; });
  await vi.advanceTimersByTimeAsync(2_300_000); // near the reference's end
  expect(view.renewals).toBe(1);
  happen();
  expect(channel.draws.size).toBe(0);
  view.next = undefined;
  answer(CONFIG);
  await vi.advanceTimersByTimeAsync(wait);
  expect([view.renewals, channel.draws.size, view.denials]).toEqual([2, 1, 0]);
  rows = { 2: "b" };
  channel.begin({ v: 1, keys: ["1", "2"] });
  channel.tell(enter(2, "2", null));
  await soon();
  expect(view.text).toBe("a b");
});

test("a list that is ended while it is asked for anew stays ended", async () => {
  const drawn: string[] = [];
  let answer: (list: LiveRows<string>) => void = () => undefined;
  const list: LiveRows<string> = { ...CONFIG, state: null, items: [["1", "a"]] };
  const other = { ...list, channel: "instant.list:b", items: [["2", "b"]] as [string, string][] };
  const renew = (): Promise<LiveRows<string>> => new Promise((resolve) => { answer = resolve; });
  const end = liveList<string>(instant, list, (all) => drawn.push(all.join(" ")), { renew });
  channel.tell({ v: 0, end: true });
  await vi.advanceTimersByTimeAsync(2000);
  end();
  answer(other);
  await vi.advanceTimersByTimeAsync(2000);
  expect(drawn).toEqual(["a"]);
  expect([channel.draws.size, channel.statuses.size, vi.getTimerCount()]).toEqual([0, 0, 0]);
});

test("rows that come after a list has ended are not drawn", async () => {
  const drawn: string[] = [];
  const list: LiveRows<string> = { ...CONFIG, state: null, items: [["1", "a"]] };
  const end = liveList<string>(instant, list, (all) => drawn.push(all.join(" ")));
  channel.begin({ v: 1, page: true });
  rows = { 2: "b" };
  channel.tell(enter(2, "2", null));
  await vi.advanceTimersByTimeAsync(14);
  expect(asked).toEqual([]);
  vi.advanceTimersByTime(2); // asks, and the answer is on its way
  expect(asked).toEqual([["2"]]);
  end();
  await soon();
  expect(drawn).toEqual(["a"]);
});

test("a key may be called like what all objects have", async () => {
  const [view] = follow(["a", "A"]);
  channel.begin({ v: 1, page: true });
  Object.assign(rows, { constructor: "B" });
  channel.tell({ v: 2, ops: [{ op: "enter", key: "constructor", before: null }] });
  expect(view.text).toBe("A");
  await vi.advanceTimersByTimeAsync(100);
  expect(view.text).toBe("A B");
});

test("as many rows are asked for at once as Django reads keys of", async () => {
  const [view] = follow();
  channel.begin({ v: 1, page: true });
  const keys = Array.from({ length: 600 }, (_, number) => `${String(number)}-${"ü".repeat(150)}`);
  for (const key of keys) rows[key] = "x";
  channel.begin({ v: 2, keys });
  await vi.advanceTimersByTimeAsync(5000);
  expect(view.shown.length).toBe(600);
  const lengths = asked.map((some) => new TextEncoder().encode(JSON.stringify(some)).length);
  expect(Math.max(...lengths)).toBeLessThan(60_000);
  expect(Math.max(...asked.map((some) => some.length))).toBeLessThanOrEqual(500);
});

test("a list that follows nothing is drawn as it is", async () => {
  const drawn: string[] = [];
  const plain: LiveRows<string> = { ...CONFIG, channel: "", state: null, items: [["1", "a"], ["2", "b"]] };
  liveList<string>(instant, plain, (all) => drawn.push(all.join(" ")));
  expect(drawn).toEqual(["a b"]);
  const list: LiveRows<string> = { ...CONFIG, state: null, items: [["1", "c"]] };
  liveList<string>(instant, list, (all) => drawn.push(all.join(" ")), { renew: () => Promise.resolve(plain) });
  channel.tell({ v: 0, end: true });
  await vi.advanceTimersByTimeAsync(2000);
  expect(drawn.at(-1)).toBe("a b");
});
