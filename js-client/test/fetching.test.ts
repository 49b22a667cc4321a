// @vitest-environment happy-dom
/** When fragments ask, and together with which others. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { Fetching, type Answer, type Asking } from "../src/live/fetching.js";

class Fragment implements Asking {
  readonly answers: Answer[] = [];
  version: string | undefined;
  constructor(
    readonly reference: string,
    readonly spread = 20,
  ) {}
  answered(answer: Answer): void {
    this.answers.push(answer);
  }
}

let asked: { at: number; url: string; refs: string[] }[];
let answer: (ref: string) => Answer;
let status: number;
let isHidden: boolean;
/** While it is an array, answers wait in it until the test sends them. */
let held: (() => void)[] | undefined;

beforeEach(() => {
  vi.useFakeTimers();
  [asked, status, isHidden, held] = [[], 200, false, undefined];
  answer = (ref) => ({ html: ref });
  vi.spyOn(AbortSignal, "timeout").mockImplementation((wait) => {
    const control = new AbortController();
    setTimeout(() => { control.abort(); }, wait);
    return control.signal;
  });
  vi.spyOn(document, "hidden", "get").mockImplementation(() => isHidden);
  vi.stubGlobal("fetch", (url: string, { body, signal }: { body?: string; signal: AbortSignal }) => {
    const refs = body ? (JSON.parse(body) as { refs: string[] }).refs : [new URLSearchParams(url.split("?")[1]).get("ref") ?? ""];
    asked.push({ at: performance.now(), url, refs });
    const fragments = refs.map(answer);
    const response = { ok: status === 200, status, json: () => Promise.resolve({ fragments }) };
    return new Promise((resolve, reject) => {
      signal.addEventListener("abort", () => { reject(new Error("too late")); });
      if (held) held.push(() => { resolve(response); });
      else resolve(response);
    });
  });
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

const pass = (milliseconds: number): Promise<unknown> => vi.advanceTimersByTimeAsync(milliseconds);

test("those of a page are one request, each once", async () => {
  const fetching = new Fetching("/f/", 3600);
  const [one, two] = [new Fragment("one"), new Fragment("two")];
  for (const fragment of [one, two, one]) fetching.want(fragment);
  await pass(100);
  expect(asked.map(({ refs }) => refs)).toEqual([["one", "two"]]);
  expect([one.answers, two.answers]).toEqual([[{ html: "one" }], [{ html: "two" }]]);
});

test("a thousand pages ask over their window, and evenly", async () => {
  for (let page = 0; page < 1000; page += 1) new Fetching("/f/", 3600).want(new Fragment("one", 2420));
  const begin = performance.now();
  await pass(3000);
  const times = asked.map(({ at }) => at - begin);
  expect(times).toHaveLength(1000);
  expect(Math.max(...times)).toBeLessThan(3000);
  const busiest = Math.max(...Array.from({ length: 30 }, (_, n) => times.filter((at) => at >= n * 100 && at < (n + 1) * 100).length));
  expect(busiest).toBeLessThan(80);
});

test("more than a hundred are several requests", async () => {
  const fetching = new Fetching("/f/", 3600);
  for (let n = 0; n < 101; n += 1) fetching.want(new Fragment(String(n)));
  await pass(100);
  expect(asked.map(({ refs }) => refs.length)).toEqual([100, 1]);
});

test("no request has more than Django takes", async () => {
  const fetching = new Fetching("/f/", 3600);
  for (let n = 0; n < 90; n += 1) fetching.want(new Fragment(`${String(n)}:${"x".repeat(1000)}`));
  await pass(100);
  expect(asked.map(({ refs }) => JSON.stringify({ refs }).length <= 64 * 1024)).toEqual([true, true]);
  expect(asked.flatMap(({ refs }) => refs)).toHaveLength(90);
});

test("what changes again and again isn't asked for more than five times a second", async () => {
  const fetching = new Fetching("/f/", 3600);
  const one = new Fragment("one", 0);
  for (let n = 0; n < 100; n += 1) {
    fetching.want(one);
    await pass(10);
  }
  expect(asked.length).toBeGreaterThan(3);
  expect(asked.length).toBeLessThanOrEqual(6);
});

test("a request that fails is repeated, later each time", async () => {
  const fetching = new Fetching("/f/", 3600);
  const one = new Fragment("one");
  status = 503;
  fetching.want(one);
  await pass(200_000);
  expect(asked.length).toBeGreaterThan(4);
  expect(asked.length).toBeLessThan(120);
  expect(one.answers).toEqual([]);
  status = 200;
  await pass(31_000);
  expect(one.answers).toEqual([{ html: "one" }]);
  const count = asked.length;
  await pass(60_000);
  expect(asked).toHaveLength(count);
});

test("one that can't be told now is asked for again, and no other with it", async () => {
  const fetching = new Fetching("/f/", 3600);
  answer = (ref) => (ref === "bad" && asked.length < 2 ? { state: "later" } : { html: ref });
  const [good, bad] = [new Fragment("good"), new Fragment("bad")];
  fetching.want(good);
  fetching.want(bad);
  await pass(5000);
  expect(asked.map(({ refs }) => refs)).toEqual([["good", "bad"], ["bad"]]);
  expect(bad.answers).toEqual([{ html: "bad" }]);
});

test("what changes while it is asked for is asked for after the answer, which may be older", async () => {
  const fetching = new Fetching("/f/", 3600);
  const [slow, other] = [new Fragment("slow"), new Fragment("other")];
  held = [];
  fetching.want(slow);
  await pass(100);
  fetching.want(slow);
  fetching.want(other);
  await pass(5000);
  expect(asked.map(({ refs }) => refs)).toEqual([["slow"], ["other"]]);
  answer = (ref) => ({ html: `${ref} anew` });
  for (const send of held.splice(0)) send();
  await pass(190);
  expect(asked).toHaveLength(2);
  await pass(50);
  expect(asked.map(({ refs }) => refs)).toEqual([["slow"], ["other"], ["slow"]]);
  for (const send of held.splice(0)) send();
  await pass(1000);
  expect(slow.answers).toEqual([{ html: "slow" }, { html: "slow anew" }]);
  expect(asked).toHaveLength(3);
});

test("a request that nobody answers is repeated", async () => {
  const fetching = new Fetching("/f/", 3600);
  const one = new Fragment("one");
  held = [];
  fetching.want(one);
  await pass(19_000);
  expect(asked).toHaveLength(1);
  held = undefined;
  await pass(5000);
  expect(one.answers).toEqual([{ html: "one" }]);
});

test("a page that nobody sees asks when somebody does", async () => {
  const fetching = new Fetching("/f/", 3600);
  isHidden = true;
  fetching.want(new Fragment("hidden"));
  await pass(10_000);
  expect(asked).toEqual([]);
  isHidden = false;
  document.dispatchEvent(new Event("visibilitychange"));
  await pass(10);
  // Listeners of the tests before may ask, too.
  expect(asked.filter(({ refs }) => refs[0] === "hidden")).toHaveLength(1);
});

test("what is removed isn't asked for", async () => {
  const fetching = new Fetching("/f/", 3600);
  const one = new Fragment("one");
  fetching.want(one);
  fetching.forget(one);
  await pass(1000);
  expect(asked).toEqual([]);
});

test("a public one is an address of its own for each version", async () => {
  const fetching = new Fetching("/f/", 3600);
  const one = new Fragment("a:b");
  one.version = "7.ep";
  fetching.want(one);
  await pass(100);
  expect(asked[0]?.url).toBe("/f/?ref=a%3Ab&v=7.ep");
});

test("references are renewed before they end, those of a page together", async () => {
  const fetching = new Fetching("/f/", 3600);
  const [one, two] = [new Fragment("one"), new Fragment("two")];
  fetching.renew(one);
  fetching.renew(two);
  await pass(0.74 * 3_600_000);
  expect(asked).toEqual([]);
  await pass(0.17 * 3_600_000);
  expect(asked.map(({ refs }) => refs)).toEqual([["one", "two"]]);
  fetching.renew(one);
  fetching.rest(one);
  await pass(3_600_000);
  expect(asked).toHaveLength(1);
});
