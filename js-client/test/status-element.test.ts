/** What people are told about the connection. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import type { Instant } from "../src/instant.js";
import { defineStatusElement } from "../src/status-element.js";
import type { StatusTexts } from "../src/options.js";
import type { Status } from "../src/types.js";

/** The part of HTMLElement that is used. */
class FakeElement {
  textContent = "";
  readonly #attributes = new Map<string, string>();
  setAttribute(name: string, value: string): void {
    this.#attributes.set(name, value);
  }
  getAttribute(name: string): string | null {
    return this.#attributes.get(name) ?? null;
  }
}
interface StatusElement extends FakeElement {
  connectedCallback(): void;
  disconnectedCallback(): void;
}

let defined: Map<string, new () => StatusElement>;
let tell: (status: Status) => void;
let listeners: number;
let instant: Instant;

beforeEach(() => {
  vi.useFakeTimers();
  defined = new Map();
  vi.stubGlobal("HTMLElement", FakeElement);
  vi.stubGlobal("customElements", {
    get: (name: string) => defined.get(name),
    define: (name: string, element: new () => StatusElement) => defined.set(name, element),
  });
  listeners = 0;
  const calls = new Set<(status: Status) => void>();
  const fake = {
    status: "idle" as Status,
    on: (_event: string, call: (status: Status) => void) => {
      calls.add(call);
      listeners += 1;
      return () => {
        calls.delete(call);
        listeners -= 1;
      };
    },
  };
  tell = (status) => {
    fake.status = status;
    for (const call of calls) call(status);
  };
  instant = fake as unknown as Instant;
});
afterEach(() => {
  vi.useRealTimers();
});

function element(texts?: StatusTexts, attributes: Record<string, string> = {}): StatusElement {
  defineStatusElement(instant, texts);
  const Element = defined.get("instant-status");
  if (Element === undefined) throw new Error("not defined");
  const made = new Element();
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.connectedCallback();
  return made;
}

test("is a polite live region, and empty while the page is connected", () => {
  const status = element();
  expect([status.getAttribute("role"), status.getAttribute("aria-live")]).toEqual(["status", "polite"]);
  for (const value of ["idle", "connecting", "live"] as const) {
    tell(value);
    expect(status.textContent).toBe("");
  }
  expect(status.getAttribute("status")).toBe("live");
});

test("does not show trouble of less than two seconds", () => {
  const status = element();
  tell("live");
  tell("connecting");
  vi.advanceTimersByTime(1500);
  tell("catching-up");
  vi.advanceTimersByTime(499);
  expect([status.getAttribute("status"), status.textContent]).toEqual(["live", ""]);
  tell("live");
  vi.advanceTimersByTime(60_000);
  expect([status.getAttribute("status"), status.textContent]).toEqual(["live", ""]);
});

test("shows longer trouble, its changes and its end", () => {
  const status = element();
  tell("live");
  tell("connecting");
  vi.advanceTimersByTime(1000);
  tell("offline");
  vi.advanceTimersByTime(1000);
  expect([status.getAttribute("status"), status.textContent]).toEqual(["offline", "Not connected. Trying again…"]);
  tell("catching-up");
  expect([status.getAttribute("status"), status.textContent]).toEqual(["catching-up", "Catching up…"]);
  tell("stopped");
  expect(status.textContent).toBe("Not connected. Reload the page to try again.");
  tell("live");
  expect([status.getAttribute("status"), status.textContent]).toEqual(["live", "Connected again."]);
  tell("connecting");
  expect(status.textContent).toBe("Connected again.");
  vi.advanceTimersByTime(2000);
  expect([status.getAttribute("status"), status.textContent]).toEqual(["connecting", "Connecting…"]);
});

test("shows signed-out at once", () => {
  const status = element();
  tell("live");
  tell("signed-out");
  expect([status.getAttribute("status"), status.textContent]).toEqual(["signed-out", "You are signed out."]);
});

test("takes its texts from attributes, then from the page's config", () => {
  const status = element({ offline: "Nicht verbunden", "signed-out": "Abgemeldet" }, { offline: "Kein Netz", connecting: "" });
  tell("signed-out");
  expect(status.textContent).toBe("Abgemeldet");
  tell("offline");
  expect(status.textContent).toBe("Kein Netz");
  tell("connecting");
  expect(status.textContent).toBe("");
});

test("starts with the current status, and removes its listener when it is removed", () => {
  tell("signed-out");
  const status = element();
  expect(status.textContent).toBe("You are signed out.");
  tell("offline");
  tell("live");
  tell("offline");
  status.disconnectedCallback();
  expect(listeners).toBe(0);
  vi.advanceTimersByTime(5000);
  expect(status.getAttribute("status")).toBe("live");
});

test("is defined once, and not in Node", () => {
  element();
  defineStatusElement(instant);
  expect(defined.size).toBe(1);
  vi.stubGlobal("customElements", undefined);
  expect(() => {
    defineStatusElement(instant);
  }).not.toThrow();
});
