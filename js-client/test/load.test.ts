// @vitest-environment happy-dom
/** How the script for browsers loads the others. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { load, setScript } from "../src/load.script.js";

let scripts: HTMLScriptElement[];

beforeEach(() => {
  vi.useFakeTimers();
  scripts = [];
  vi.spyOn(document.head, "append").mockImplementation((script) => { scripts.push(script as HTMLScriptElement); });
  setScript(null, { calls: "/calls.js", stored: "/stored.js" });
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

test("nothing stays of a part that has been waited for", async () => {
  const { signal } = new AbortController();
  const listens = vi.spyOn(signal, "addEventListener");
  const removes = vi.spyOn(signal, "removeEventListener");
  const parts = [load("calls", { signal }), load("calls")];
  expect(vi.getTimerCount()).toBe(2);
  scripts[0]?.onload?.(new Event("load"));
  for (const part of await Promise.all(parts)) expect(part).toBe(scripts[0]);
  for (let n = 0; n < 100; n += 1) await load("calls", { signal });
  expect([vi.getTimerCount(), scripts.length]).toEqual([0, 1]);
  expect(listens).toHaveBeenCalledTimes(101);
  expect(removes.mock.calls.map(([, listener]) => listener)).toEqual(listens.mock.calls.map(([, listener]) => listener));
});

test("a part that does not come in time rejects, and is there for the next", async () => {
  const late = load("stored").catch((error: unknown) => error);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(await late).toMatchObject({ message: "/stored.js was not loaded" });
  scripts[0]?.onload?.(new Event("load"));
  expect(await load("stored")).toBe(scripts[0]);
});
