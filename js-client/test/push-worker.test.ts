/** The service worker of web push, in a world of the test's own. tests/browser/test_push.py has a real one. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";

interface Answer {
  readonly status?: number;
  readonly id?: string;
  readonly unread?: number;
  readonly read?: boolean;
  /** How the body ends. */
  readonly body?: "broken" | "never";
}

let hear: Map<string, (event: object) => void>;
let shown: string[];
let badge: number[];
let asked: string[];
/** Answers to the questions, in their order; where there is none the question waits for ever. */
let answers: (Promise<Answer> | undefined)[];

const json = ({ id = "", unread = 0, read = false, body }: Answer, signal: AbortSignal): Promise<unknown> => {
  if (body === "broken") return Promise.reject(new SyntaxError("no JSON"));
  if (body === "never") return ends(signal);
  return Promise.resolve({ notification: { id, title: `title ${id}`, body: "", url: "", read }, unread });
};
const ends = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => { signal.addEventListener("abort", () => { reject(new Error("too late")); }); });

beforeEach(async () => {
  vi.useFakeTimers();
  vi.resetModules();
  hear = new Map();
  [shown, badge, asked, answers] = [[], [], [], []];
  vi.spyOn(AbortSignal, "timeout").mockImplementation((wait) => {
    const control = new AbortController();
    setTimeout(() => { control.abort(); }, wait);
    return control.signal;
  });
  vi.stubGlobal("fetch", async (url: URL, { signal }: { signal?: AbortSignal }) => {
    asked.push(url.pathname);
    const patience = signal ?? new AbortController().signal;
    const answer = await (answers[asked.length - 1] ?? ends(patience));
    const { status = 200 } = answer;
    return { ok: status === 200, status, json: () => json(answer, patience) };
  });
  vi.stubGlobal("self", {
    location: new URL("https://shop/instant/push/worker/"),
    instantSite: { home: "/", icon: null, title: "Something new" },
    addEventListener: (type: string, listener: (event: object) => void) => { hear.set(type, listener); },
    clients: { matchAll: () => Promise.resolve([]) },
    navigator: {
      setAppBadge: (count: number) => { badge.push(count); return Promise.resolve(); },
      clearAppBadge: () => { badge.push(0); return Promise.resolve(); },
    },
    registration: {
      pushManager: { getSubscription: () => Promise.resolve({ endpoint: "https://web.push.apple.com/x", unsubscribe: () => Promise.resolve(true) }) },
      showNotification: (title: string) => { shown.push(title); return Promise.resolve(); },
    },
  });
  await import("../src/push/worker.js");
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

const pass = (milliseconds: number): Promise<unknown> => vi.advanceTimersByTimeAsync(milliseconds);

/** A push arrives; returns whether the worker is done with it. */
function push(id: string): { isDone: boolean } {
  const state = { isDone: false };
  const waitUntil = (work: Promise<unknown>): void => { void work.then(() => { state.isDone = true; }); };
  hear.get("push")?.({ data: { json: () => ({ id }) }, waitUntil });
  return state;
}

test("what is told is shown, and counted", async () => {
  answers = [Promise.resolve({ id: "a", unread: 3 }), Promise.resolve({ id: "b" })];
  const one = push("a");
  await pass(0);
  push("b");
  await pass(0);
  expect([shown, badge, one.isDone]).toEqual([["title a", "title b"], [3, 0], true]);
  expect(asked[0]).toBe("/instant/push/worker/notification/");
});

test.each([
  ["is never there", undefined],
  ["never ends", { body: "never" }],
  ["is not JSON", { body: "broken" }],
  ["is an error", { status: 500 }],
] as [string, Answer | undefined][])("where Django's answer %s, something is shown all the same", async (_what, answer) => {
  answers = [answer && Promise.resolve(answer)];
  const one = push("a");
  await pass(11_000);
  expect([shown, badge, one.isDone]).toEqual([["Something new"], [], true]);
});

test("of two pushes that overlap the newer answer counts, and both are shown", async () => {
  let first: (answer: Answer) => void = () => undefined;
  answers = [new Promise((resolve) => { first = resolve; }), Promise.resolve({ id: "b", unread: 2 })];
  push("a");
  await pass(0);
  push("b");
  await pass(0);
  first({ id: "a", unread: 1 });
  await pass(0);
  expect([shown, badge]).toEqual([["title b", "title a"], [2]]);
});
