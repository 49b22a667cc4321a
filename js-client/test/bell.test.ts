// @vitest-environment happy-dom
/** `<instant-bell>`: what it asks, counts, lists and says, and its switch. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { defineBell, type BellTexts, type Push } from "../src/bell/index.js";
import { defineBell as defineWith } from "../src/bell/element.js";
import type { Instant } from "../src/instant.js";

const texts: BellTexts = {
  title: "Notifications",
  one: "1 unread",
  unread: "{n} unread",
  mark: "Unread",
  all: "Mark all as read",
  older: "Older",
  none: "None yet.",
  failed: "Failed.",
  again: "Try again",
  push: "Notify me",
  denied: "Blocked.",
  notSwitched: "Did not work.",
};
const urls = { list: "/notifications/", read: "/notifications/read/" };

interface One {
  id: string;
  title: string;
  url: string;
  read: boolean;
}
const one = (id: string, more: Partial<One> = {}): object => ({
  ...{ id, title: `No. ${id}`, body: "", url: "", kind: "", created: "2026-01-02T03:04:05+00:00", read: false },
  ...more,
});

/** What Django answers, and what it was asked. */
let answer: Record<string, unknown>;
let status: number;
let asked: [string, Record<string, unknown>][];

/** The page's connection: channels with listeners, which tests call. */
class FakeInstant {
  readonly channels = new Map<string, Map<string, (value: unknown) => void>>();
  user: (() => void) | undefined;
  /** How channels are before the bell, and where. */
  status = "idle";
  position: unknown;

  on(_name: string, listener: () => void): () => void {
    this.user = listener;
    return () => (this.user = undefined);
  }
  channel(name: string): object {
    const listeners = new Map<string, (value: unknown) => void>();
    this.channels.set(name, listeners);
    const add = (event: string, listener: (value: unknown) => void): (() => void) => {
      listeners.set(event, listener);
      return () => listeners.delete(event);
    };
    // eslint-disable-next-line @typescript-eslint/no-this-alias
    const page = this;
    return {
      get status() { return page.status; },
      get position() { return page.position; },
      on: add,
      onLost: (listener: () => void) => add("lost", listener),
      onStatus: (listener: (value: unknown) => void) => add("status", listener),
    };
  }
  tell(event: string, value: unknown, name = "user:1"): void {
    this.channels.get(name)?.get(event)?.(value);
  }
}

let instant: FakeInstant;
let push: { turnOn: ReturnType<typeof vi.fn>; turnOff: ReturnType<typeof vi.fn>; renew: ReturnType<typeof vi.fn>; close: ReturnType<typeof vi.fn> };
let bell: HTMLElement;
let number = 0;

const find = (selector: string): HTMLElement => bell.shadowRoot?.querySelector(selector) as HTMLElement;
const all = (selector: string): HTMLElement[] => [...(bell.shadowRoot?.querySelectorAll(selector) ?? [])] as HTMLElement[];
/** Lets requests and promises come to their end. */
const settled = async (): Promise<void> => {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
};

/** Puts a bell into the page, under a name of its own: a browser defines an element once. */
async function ring(options: { permission?: string } = {}): Promise<void> {
  const registry = { get: () => undefined, define: (_: string, cls: CustomElementConstructor) => { customs.define(name, cls); } };
  const customs = customElements;
  const name = `instant-bell-${String((number += 1))}`;
  vi.stubGlobal("customElements", registry);
  if (options.permission) {
    vi.stubGlobal("isSecureContext", true);
    vi.stubGlobal("Notification", { permission: options.permission });
    vi.stubGlobal("PushManager", vi.fn());
    window.PushManager = PushManager;
    Object.assign(window, { Notification });
    Object.defineProperty(navigator, "serviceWorker", { configurable: true, value: new EventTarget() });
  }
  const how = options.permission ? { key: "K", load: () => Promise.resolve(push as unknown as Push) } : undefined;
  defineWith(instant as unknown as Instant, urls, texts, how);
  vi.stubGlobal("customElements", customs);
  bell = document.createElement(name);
  document.body.append(bell);
  await settled();
}

beforeEach(() => {
  localStorage.clear();
  instant = new FakeInstant();
  answer = { channel: "user:1", unread: 2, notifications: [], has_more: false };
  status = 200;
  asked = [];
  push = { turnOn: vi.fn(() => Promise.resolve("granted")), turnOff: vi.fn(() => Promise.resolve()), renew: vi.fn(() => Promise.resolve()), close: vi.fn(() => Promise.resolve()) };
  vi.stubGlobal("fetch", (url: string, { body }: { body: string }) => {
    asked.push([url, JSON.parse(body) as Record<string, unknown>]);
    return Promise.resolve({ status, ok: status === 200, json: () => Promise.resolve(answer) });
  });
});
afterEach(() => {
  bell.remove();
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

test("it asks how many are unread, and says so", async () => {
  await ring();
  expect(asked).toEqual([["/notifications/", { limit: 0, position: true }]]);
  expect(find(".badge").textContent).toBe("2");
  expect(find(".bell").getAttribute("aria-label")).toBe("Notifications, 2 unread");
});

const POSITION = { offset: 7, epoch: "e" };

test("the first page asks once, too, where nothing was published until it listened", async () => {
  answer = { ...answer, position: POSITION };
  await ring();
  instant.tell("status", "subscribing");
  instant.position = { ...POSITION };
  instant.tell("status", "live");
  await settled();
  expect(asked).toHaveLength(1);
  // After a lost connection it asks as ever.
  instant.tell("status", "subscribing");
  instant.tell("status", "live");
  await settled();
  expect(asked.slice(1)).toEqual([["/notifications/", { limit: 0 }]]);
});

test("so does one that listens already", async () => {
  answer = { ...answer, position: POSITION };
  instant.status = "live";
  instant.position = { ...POSITION };
  await ring();
  expect(asked).toHaveLength(1);
});

test.each([
  ["no position is known", undefined, POSITION],
  ["the channel has none", undefined, undefined],
  ["something was published meanwhile", POSITION, { offset: 8, epoch: "e" }],
  ["the server was restarted meanwhile", POSITION, { offset: 7, epoch: "f" }],
])("it asks twice where %s", async (_what, before, position) => {
  answer = { ...answer, position: before };
  await ring();
  instant.position = position;
  instant.tell("status", "live");
  await settled();
  expect(asked).toHaveLength(2);
});

test("a page that listens already may have heard something before the bell did", async () => {
  answer = { ...answer, position: POSITION };
  instant.status = "live";
  instant.position = { offset: 8, epoch: "e" };
  await ring();
  expect(asked).toHaveLength(2);
});

test("the next page asks once, when it is connected", async () => {
  localStorage.setItem("instant-bell", "user:1");
  await ring();
  expect(asked).toEqual([]);
  instant.tell("status", "subscribing");
  instant.tell("status", "live");
  await settled();
  expect(asked).toHaveLength(1);
  expect(find(".badge").textContent).toBe("2");
});

test("without a connection it asks all the same", async () => {
  vi.useFakeTimers();
  localStorage.setItem("instant-bell", "user:1");
  await ring();
  await vi.advanceTimersByTimeAsync(2000);
  expect(asked).toHaveLength(1);
  expect(find(".badge").textContent).toBe("2");
});

test("a browser that was another's asks whose it is now", async () => {
  localStorage.setItem("instant-bell", "user:9");
  await ring();
  instant.tell("status", "denied", "user:9");
  await settled();
  expect(asked).toHaveLength(1);
  expect(localStorage.getItem("instant-bell")).toBe("user:1");
  expect([...instant.channels.keys()]).toEqual(["user:9", "user:1"]);
  instant.tell("status", "live");
  await settled();
  expect(find(".badge").textContent).toBe("2");
});

test("a visitor sees none, and it is forgotten whose the browser was", async () => {
  status = 403;
  localStorage.setItem("instant-bell", "user:9");
  await ring();
  instant.tell("status", "denied", "user:9");
  await settled();
  expect(bell.hidden).toBe(true);
  expect(localStorage.getItem("instant-bell")).toBe("");
});

test("what arrives is counted and said, and what was read elsewhere counted down", async () => {
  await ring();
  instant.tell("instant:notification", { id: "a", data: { title: "Shipped" }, date: new Date() });
  expect(find(".badge").textContent).toBe("3");
  expect(find("[role=status]").textContent).toBe("3 unread: Shipped");
  instant.tell("instant:notifications-read", { data: { ids: ["a"], unread: 0 } });
  expect(find(".badge").hidden).toBe(true);
  instant.tell("instant:notifications-read", { data: { unread: 7 } });
  await settled();
  expect(asked).toHaveLength(2);
});

test("it lists them, and marks what is opened and all", async () => {
  answer = { ...answer, notifications: [one("a", { url: "/x/" }), one("b", { read: true })], unread: 1 };
  await ring();
  find(".bell").click();
  await settled();
  expect(all(".one").map((row) => [row.tagName, row.className])).toEqual([["A", "one unread"], ["BUTTON", "one"]]);
  expect(find(".panel").hidden).toBe(false);
  answer = { unread: 0 };
  all(".one")[0]?.click();
  await settled();
  expect(asked.at(-1)).toEqual(["/notifications/read/", { ids: ["a"] }]);
  find(".head .quiet").click();
  await settled();
  expect(asked.at(-1)).toEqual(["/notifications/read/", { until: "a" }]);
  expect(all(".unread")).toHaveLength(0);
});

/** Holds answers back: each has what Django knew when it was asked. */
function hold(): (() => Promise<void>)[] {
  const held: (() => Promise<void>)[] = [];
  vi.stubGlobal("fetch", (url: string, { body }: { body: string }) => {
    asked.push([url, JSON.parse(body) as Record<string, unknown>]);
    const known = answer;
    return new Promise((resolve) => {
      held.push(() => {
        resolve({ status: 200, ok: true, json: () => Promise.resolve(known) });
        return settled();
      });
    });
  });
  return held;
}

test("an answer that something has overtaken is asked for again", async () => {
  await ring();
  const held = hold();
  find(".bell").click();
  instant.tell("instant:notification", { id: "a", data: { title: "Shipped" }, date: new Date() });
  answer = { ...answer, unread: 3, notifications: [one("a")] };
  await held[0]?.();
  expect(all(".one")).toEqual([]);
  expect(find(".badge").textContent).toBe("3");
  await held[1]?.();
  expect(all(".one").map(({ dataset }) => dataset["id"])).toEqual(["a"]);
  expect(find(".badge").textContent).toBe("3");
  expect(held).toHaveLength(2);
});

test("where something arrives again and again it shows what it has", async () => {
  await ring();
  const held = hold();
  find(".bell").click();
  for (let times = 0; times < 6; times += 1) {
    instant.tell("instant:notification", { id: "a", data: { title: "Shipped" }, date: new Date() });
    answer = { ...answer, unread: 9, notifications: [one("a")] };
    await held[times]?.();
  }
  expect(held).toHaveLength(4);
  expect(all(".one")).toHaveLength(1);
});

test("of two questions the newer one's answer counts, whichever comes last", async () => {
  const held = hold();
  await ring();
  answer = { ...answer, unread: 1, notifications: [one("a")] };
  find(".bell").click();
  await held[1]?.();
  await held[0]?.(); // which asked for no list
  expect(all(".one")).toHaveLength(1);
  expect(find(".badge").textContent).toBe("1");
  instant.user?.(); // asks whose it is
  find(".bell").click();
  find(".bell").click();
  answer = { ...answer, unread: 2, notifications: [one("b"), one("a")] };
  instant.user?.();
  await held[3]?.();
  expect(all(".one")).toHaveLength(1);
  await held[4]?.();
  expect(all(".one")).toHaveLength(2);
  expect(asked.slice(1).map(([, { limit }]) => limit)).toEqual([20, 20, 20, 20]);
});

test("what arrives while one is marked as read counts", async () => {
  answer = { ...answer, notifications: [one("a")], unread: 1 };
  await ring();
  find(".bell").click();
  await settled();
  const held = hold();
  answer = { unread: 0 };
  all(".one")[0]?.click();
  instant.tell("instant:notification", { id: "b", data: { title: "Shipped" }, date: new Date() });
  await held[0]?.();
  expect(find(".badge").textContent).toBe("1");
});

test("what can't be loaded is said, and tried again", async () => {
  await ring();
  status = 500;
  find(".bell").click();
  await settled();
  expect(find("[role=alert]").textContent).toBe("Failed. Try again");
  status = 200;
  find("[role=alert] button").click();
  await settled();
  expect(find(".note").textContent).toBe("None yet.");
});

test("without web push there is no switch", async () => {
  await ring();
  expect(find("[role=switch]")).toBeNull();
});

test("the switch subscribes, is remembered, and unsubscribes", async () => {
  answer = { ...answer, push: false };
  await ring({ permission: "granted" });
  expect(find("[role=switch]").getAttribute("aria-checked")).toBe("false");
  find("[role=switch]").click();
  await settled();
  expect(push.turnOn).toHaveBeenCalledOnce();
  expect(find("[role=switch]").getAttribute("aria-checked")).toBe("true");
  expect(JSON.parse(localStorage.getItem("instant-push") ?? "")).toEqual({ channel: "user:1", key: "K" });
  instant.tell("instant:notifications-read", { data: { ids: ["a"], unread: 0 } });
  await settled();
  expect(push.close).toHaveBeenCalledWith(["a"]);
  find("[role=switch]").click();
  await settled();
  expect(push.turnOff).toHaveBeenCalledOnce();
  expect(localStorage.getItem("instant-push")).toBeNull();
});

test.each([
  ["of this user, whose session is another", { channel: "user:1", key: "K" }, false, 1],
  ["with another key", { channel: "user:1", key: "old" }, true, 1],
  ["of another user", { channel: "user:2", key: "K" }, false, 0],
  ["that is as it should be", { channel: "user:1", key: "K" }, true, 0],
])("a subscription %s", async (_what, wanted, isOn, renewed) => {
  localStorage.setItem("instant-push", JSON.stringify(wanted));
  answer = { ...answer, push: isOn };
  await ring({ permission: "granted" });
  await settled();
  expect(push.renew).toHaveBeenCalledTimes(renewed);
  expect(find("[role=switch]").getAttribute("aria-checked")).toBe(String(isOn || renewed === 1));
});

test("why it isn't switched on is said", async () => {
  answer = { ...answer, push: false };
  await ring({ permission: "denied" });
  expect(find(".why").textContent).toBe("Blocked.");
  push.turnOn.mockRejectedValueOnce(new Error("no push service"));
  find("[role=switch]").click();
  await settled();
  expect(find(".why").textContent).toBe("Did not work.");
  expect(find("[role=switch]").hasAttribute("aria-busy")).toBe(false);
});

test("a service worker that asks hears whether the page shows what is pushed", async () => {
  answer = { ...answer, push: true };
  await ring({ permission: "granted" });
  const heard: unknown[] = [];
  const ask = (): void => {
    const event = new Event("message");
    Object.assign(event, { data: { instantPush: "a" }, ports: [{ postMessage: (value: unknown) => heard.push(value) }] });
    navigator.serviceWorker.dispatchEvent(event);
  };
  ask();
  instant.tell("status", "live");
  ask();
  expect(heard).toEqual([false, true]);
  bell.remove();
  ask();
  expect(heard).toHaveLength(2);
});

test("the package's own way to define it", () => {
  const define = vi.spyOn(customElements, "define");
  bell = document.createElement("p");
  defineBell(instant as unknown as Instant, { urls, texts });
  expect(define).toHaveBeenCalledWith("instant-bell", expect.any(Function));
});
