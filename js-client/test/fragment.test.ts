// @vitest-environment happy-dom
/** The element of live fragments, where answers and the page overtake one another. tests/browser has a real one. */
import { afterAll, afterEach, beforeEach, expect, test, vi } from "vitest";

import { defineFragment } from "../src/live/fragment-element.js";
import { createFakeInstant, type FakeInstant } from "../src/testing/index.js";

/** One for all tests: a page defines its elements once. */
let fake: FakeInstant | undefined;
let asked: string[][];
let answers: Record<string, object>;
/** Answers the request for the page's own address. */
let showPage: (html: string) => void;

beforeEach(() => {
  vi.useFakeTimers();
  asked = [];
  answers = {};
  showPage = () => undefined;
  fake ??= createFakeInstant();
  vi.stubGlobal("fetch", (_url: string, { body }: { body?: string }) => {
    if (body === undefined) {
      return new Promise((resolve) => {
        showPage = (html) => { resolve({ ok: true, text: () => Promise.resolve(html) }); };
      });
    }
    const { refs } = JSON.parse(body) as { refs: string[] };
    asked.push(refs);
    const fragments = refs.map((ref) => answers[ref]);
    return Promise.resolve({ ok: true, status: 200, json: () => Promise.resolve({ fragments }) });
  });
  defineFragment(fake.instant, { url: "/fragments/", life: 3600 });
});
afterEach(async () => {
  document.body.replaceChildren();
  await pass(3000); // in which one answer of the page serves all
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const pass = (milliseconds = 1000): Promise<unknown> => vi.advanceTimersByTimeAsync(milliseconds);

afterAll(() => { fake?.instant.disconnect(); });

function html(ref: string, text: string): string {
  return `<instant-live key="k" channel="order:1" ref="${ref}" window="1">${text}</instant-live>`;
}

test("a page that was asked for before the element was put in anew doesn't replace it", async () => {
  answers = { one: { state: "old" }, two: { key: "k", channel: "order:1", ref: "two", window: 1 } };
  document.body.innerHTML = html("one", "first");
  const element = document.querySelector("instant-live") as HTMLElement;
  await pass();
  expect(asked).toEqual([["one"]]);
  // As htmx does it.
  element.setAttribute("ref", "two");
  element.innerHTML = "newer";
  showPage(html("three", "older"));
  await pass();
  expect([element.textContent, element.getAttribute("ref"), asked.at(-1)]).toEqual(["newer", "two", ["two"]]);
});

test("an element whose reference has ended takes another one, and what is there, from the page", async () => {
  answers = { four: { state: "old" } };
  document.body.innerHTML = html("four", "first");
  const element = document.querySelector("instant-live") as HTMLElement;
  await pass(4000);
  showPage(html("five", "now"));
  await pass();
  expect([element.textContent, element.getAttribute("ref")]).toEqual(["now", "five"]);
});
