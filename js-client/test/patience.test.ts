// @vitest-environment happy-dom
/** A Django that takes a request and never answers: what waits for it goes on all the same. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { Inbox } from "../src/bell/inbox.js";
import { freshPage } from "../src/live/fresh-page.js";
import { Push } from "../src/push/index.js";
import { stream } from "../src/stream/index.js";
import { createFakeInstant } from "../src/testing/index.js";

let asked: string[];

beforeEach(() => {
  vi.useFakeTimers();
  asked = [];
  vi.spyOn(AbortSignal, "timeout").mockImplementation((wait) => {
    const control = new AbortController();
    setTimeout(() => { control.abort(); }, wait);
    return control.signal;
  });
  vi.stubGlobal("fetch", (url: string, { signal }: RequestInit) => {
    asked.push(url);
    return new Promise((_, reject) => { signal?.addEventListener("abort", () => { reject(new Error("too late")); }); });
  });
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

const pass = (milliseconds: number): Promise<unknown> => vi.advanceTimersByTimeAsync(milliseconds);

/** Tells what becomes of it within half a minute. */
async function outcome(work: Promise<unknown>): Promise<unknown> {
  let result: unknown = "nothing";
  work.then((value) => { result = value; }, (error: unknown) => { result = error; });
  await pass(30_000);
  return result;
}

test("a stream asks again", async () => {
  const fake = createFakeInstant();
  const remove = stream(fake.instant.channel("answer:1"), { urls: { text: "/text/", stop: "/stop/" } }).onText(() => undefined);
  await pass(10_000);
  expect(asked).toEqual(["/text/"]);
  await pass(15_000);
  expect(asked).toEqual(["/text/", "/text/"]);
  remove();
  fake.instant.disconnect();
});

test("the page's own address is asked for again", async () => {
  expect(await outcome(freshPage())).toBeUndefined();
  expect(asked).toHaveLength(1);
  void freshPage();
  expect(asked).toHaveLength(2);
});

test("the switch of web push says that it did not work", async () => {
  const found = { endpoint: "https://push", unsubscribe: () => Promise.resolve(true) };
  const registration = { pushManager: { getSubscription: () => Promise.resolve(found) } };
  vi.stubGlobal("navigator", { serviceWorker: { getRegistration: () => Promise.resolve(registration) } });
  const push = new Push({ key: "", urls: { worker: "/worker/", subscribe: "/on/", unsubscribe: "/off/" } });
  expect(await outcome(push.turnOff())).toBeInstanceOf(Error);
  expect(asked).toEqual(["/off/"]);
});

test("the bell says that it could not be loaded", async () => {
  expect(await outcome(new Inbox({ list: "/list/", read: "/read/" }).ask(20))).toBeInstanceOf(Error);
});
