/** The lines between tabs: how one is taken up, how its end shows, and how a leader that does not run is noticed. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import type { WebSocketConstructor } from "../src/options.js";
import { Berths } from "../src/shared/berths.js";
import { Hub } from "../src/shared/hub.js";
import { Tether } from "../src/shared/tether.js";
import { Channel, Locks } from "./tabs.js";

/** A server that is there at once. */
class Socket {
  static readonly sent: string[] = [];
  onopen: (() => void) | undefined;

  constructor() {
    queueMicrotask(() => this.onopen?.());
  }

  send(frame: string): void {
    Socket.sent.push(frame);
  }

  close(): void {
    Socket.sent.push("closed");
  }
}

let page: EventTarget & { hidden: boolean };
let told: unknown[];

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "Date"] });
  page = Object.assign(new EventTarget(), { hidden: false });
  vi.stubGlobal("document", page);
  vi.stubGlobal("navigator", { locks: new Locks() });
  vi.stubGlobal("BroadcastChannel", Channel);
  Channel.all.clear();
  Socket.sent.length = 0;
  told = [];
});

afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

/** Lets what is on its way arrive. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

function lead(name: string): Berths {
  const config = { timeout: 5000, sizeLimit: 65536, WebSocket: Socket as unknown as WebSocketConstructor };
  return new Berths("group", name, new Hub("ws://host", undefined, config));
}

const port = {
  open: () => told.push("open"),
  frame: (text: string) => told.push(text),
  end: (code: number, reason: string) => told.push([code, reason]),
};

/** A tab that is taken up by leaders. */
async function join(...leaders: Berths[]): Promise<Tether> {
  const tether: Tether = new Tether(
    "group",
    port,
    () => {
      for (const berths of leaders) berths.take(tether.id);
    },
    () => told.push("lost"),
  );
  await settle();
  return tether;
}

const CONNECT = JSON.stringify({ id: 1, connect: {} });

test("a tab that asks twice is taken up once, and its lock tells when it is gone", async () => {
  const berths = lead("a");
  const tether = await join(berths, berths);
  expect(told).toEqual(["open"]);
  tether.send(CONNECT);
  await settle();
  expect(Socket.sent).toEqual([JSON.stringify({ connect: {}, id: 1 })]);
  tether.close();
  await settle();
  expect(Socket.sent.at(-1)).toBe("closed");
});

test("of two leaders only the first that answered counts, and only it does what the tab wants", async () => {
  const [first, second] = [lead("a"), lead("b")];
  const tether = await join(first, second);
  expect(told).toEqual(["open"]);
  expect(tether.leader).toBe("a");
  tether.send(CONNECT);
  await settle();
  expect(Socket.sent).toHaveLength(1);
});

test("a leader that does not answer for more than half a second is lost", async () => {
  const berths = lead("a");
  await join(berths);
  for (let time = 0; time < 5; time += 1) {
    vi.advanceTimersByTime(300);
    await settle();
  }
  expect(told).toEqual(["open"]);
  berths.close();
  vi.advanceTimersByTime(600);
  expect(told).toEqual(["open"]);
  vi.advanceTimersByTime(300);
  expect(told).toEqual(["open", "lost"]);
});

test("not if this page did not run either", async () => {
  const berths = lead("a");
  await join(berths);
  berths.close();
  for (let time = 0; time < 5; time += 1) {
    vi.setSystemTime(Date.now() + 3000);
    vi.advanceTimersByTime(300);
  }
  expect(told).toEqual(["open"]);
});

test("a hidden tab asks nothing, until it is shown", async () => {
  page.hidden = true;
  const tether = await join();
  expect(vi.getTimerCount()).toBe(0);
  page.hidden = false;
  page.dispatchEvent(new Event("visibilitychange"));
  expect(vi.getTimerCount()).toBe(1);
  vi.advanceTimersByTime(900);
  expect(told).toEqual(["lost"]);
  page.hidden = true;
  page.dispatchEvent(new Event("visibilitychange"));
  expect(vi.getTimerCount()).toBe(0);
  tether.close();
});
