/** The slots that pages of a browser share over HTTP/1.1. Chromium's locks are in ../tests/client/. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { StreamSlot } from "../src/stream-slot.js";

const HTTP = "http://127.0.0.1:8427/connection/http_stream";
/** Longer than any test. */
const PATIENCE = 100_000_000;
const HTTPS = "https://127.0.0.1/connection/sse";

type Callback = () => Promise<void> | undefined;

/** Stands for `navigator.locks`: one holder for each name, the others in their order. */
class Locks {
  readonly held = new Set<string>();
  readonly pending: { readonly name: string; readonly start: () => void }[] = [];

  request(name: string, { signal, mode }: { signal?: AbortSignal; mode?: string }, callback: Callback): Promise<void> {
    // Nobody holds a shared one alone, so it never waits.
    if (mode === "shared") {
      this.held.add(name);
      return Promise.resolve(callback()).then(() => void this.held.delete(name));
    }
    return new Promise((resolve, reject) => {
      const entry = {
        name,
        start: () => {
          this.held.add(name);
          void Promise.resolve(callback()).then(() => {
            this.held.delete(name);
            resolve();
            this.#next();
          });
        },
      };
      this.pending.push(entry);
      signal?.addEventListener("abort", () => {
        const index = this.pending.indexOf(entry);
        if (index < 0) return;
        this.pending.splice(index, 1);
        reject(new DOMException("aborted", "AbortError"));
      });
      queueMicrotask(() => {
        this.#next();
      });
    });
  }

  query(): Promise<object> {
    return Promise.resolve({ held: [...this.held].map((name) => ({ name })), pending: this.pending.map(({ name }) => ({ name })) });
  }

  #next(): void {
    const index = this.pending.findIndex(({ name }) => !this.held.has(name));
    if (index < 0) return;
    this.pending.splice(index, 1)[0]?.start();
    this.#next();
  }
}

let locks: Locks;
let hidden: boolean;
let page: EventTarget;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "setTimeout", "clearTimeout", "Date"] });
  locks = new Locks();
  hidden = true;
  vi.stubGlobal("navigator", { locks });
  page = new EventTarget();
  Object.defineProperty(page, "hidden", { get: () => hidden });
  vi.stubGlobal("document", page);
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

/** Opens pages that want a slot; each notes its number when it has one. */
async function open(count: number, endpoint = HTTP): Promise<{ slots: StreamSlot[]; having: number[]; gave: number[] }> {
  const having: number[] = [];
  const gave: number[] = [];
  const slots = Array.from({ length: count }, (_, index) => {
    const slot: StreamSlot = new StreamSlot(() => {
      gave.push(index);
      slot.release();
      want();
    });
    const want = (): void => {
      void Promise.resolve(slot.take(endpoint, PATIENCE)).then(
        () => having.push(index),
        () => undefined,
      );
    };
    want();
    return slot;
  });
  await vi.advanceTimersByTimeAsync(0);
  return { slots, having, gave };
}

test("four pages have one, and the others wait in their order", async () => {
  const { slots, having } = await open(7);
  expect(having).toEqual([0, 1, 2, 3]);
  slots[2]?.release();
  await vi.advanceTimersByTimeAsync(0);
  expect(having).toEqual([0, 1, 2, 3, 4]);
  // Who stops to wait is passed over.
  slots[5]?.release();
  slots[0]?.release();
  await vi.advanceTimersByTimeAsync(0);
  expect(having).toEqual([0, 1, 2, 3, 4, 6]);
  expect(locks.held.size).toBe(4);
  expect(locks.pending).toEqual([]);
});

test("a page gives its slot up after its turn, if others wait, and waits again itself", async () => {
  const { having, gave } = await open(5);
  await vi.advanceTimersByTimeAsync(29_000);
  expect(gave).toEqual([]);
  await vi.advanceTimersByTimeAsync(4000);
  expect(gave.length).toBeGreaterThan(0);
  expect(having).toContain(4);
  for (let turn = 0; turn < 10; turn += 1) await vi.advanceTimersByTimeAsync(34_000);
  // Everybody has had several turns.
  for (const page of [0, 1, 2, 3, 4]) expect(having.filter((one) => one === page).length).toBeGreaterThan(2);
});

test("no slot is given up for nobody", async () => {
  const { gave } = await open(4);
  await vi.advanceTimersByTimeAsync(100_000);
  expect(gave).toEqual([]);
});

test("hidden pages give theirs up soon for a page that is shown, also if it is shown later", async () => {
  vi.spyOn(Math, "random").mockReturnValueOnce(0.9).mockReturnValueOnce(0.1).mockReturnValue(0.9);
  const { slots, having, gave } = await open(5);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(gave).toEqual([]);
  hidden = false;
  page.dispatchEvent(new Event("visibilitychange"));
  // The others still are hidden when they look.
  hidden = true;
  await vi.advanceTimersByTimeAsync(2000);
  // One of them is enough.
  expect([gave, having]).toEqual([[1], [0, 1, 2, 3, 4]]);
  expect([...locks.held].filter((name) => name.endsWith("shown"))).toEqual([]);
  expect(slots).toHaveLength(5);
});

test("pages that are shown do not hurry for another one", async () => {
  hidden = false;
  const { gave } = await open(5);
  await vi.advanceTimersByTimeAsync(28_000);
  expect(gave).toEqual([]);
});

test("it is kept by the page that has it, for another transport of the same server", async () => {
  const { slots, having } = await open(1);
  await slots[0]?.take(HTTP.replace("http_stream", "sse"), PATIENCE);
  expect([having, [...locks.held]]).toEqual([[0], ["instant http://127.0.0.1:8427 0"]]);
  // A WebSocket needs none.
  const locksBefore = locks.pending.length + locks.held.size;
  expect(new StreamSlot(() => undefined).take("ws://127.0.0.1:8427/connection/websocket", PATIENCE)).toBeUndefined();
  expect(locks.pending.length + locks.held.size).toBe(locksBefore);
});

test("who loses patience keeps the place in the queue, and who releases it is rejected", async () => {
  const { slots } = await open(4);
  const late = new StreamSlot(() => undefined);
  const first = late.take(HTTP, 1000);
  await vi.advanceTimersByTimeAsync(1000);
  expect(await first).toBe(false);
  const { having } = await open(1);
  const second = late.take(HTTP, 1000);
  slots[0]?.release();
  expect(await second).toBe(true);
  expect(having).toEqual([]);
  const other = new StreamSlot(() => undefined);
  const waiting = other.take(HTTP, PATIENCE);
  other.release();
  await expect(waiting).rejects.toMatchObject({ name: "SupersededError" });
});

test.each([
  ["over HTTP/2", "h2", 7],
  ["over HTTP/1.1 with TLS", "http/1.1", 4],
])("%s", async (_what, nextHopProtocol, expected) => {
  vi.spyOn(performance, "getEntries").mockReturnValue([{ name: "https://127.0.0.1/page", nextHopProtocol } as unknown as PerformanceEntry]);
  expect((await open(7, HTTPS)).having).toHaveLength(expected);
});

test("nothing is limited where there are no locks", async () => {
  vi.stubGlobal("navigator", {});
  expect((await open(7)).having).toHaveLength(7);
});
