// @vitest-environment happy-dom
/** Streams: the whole text, nothing lost and nothing doubled, and the element that shows it. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { defineStream, stream, StreamError, type InstantStreamElement, type StreamUpdate, type TextStream } from "../src/stream/index.js";
import { createFakeInstant, type FakeInstant } from "../src/testing/index.js";

const CHANNEL = "answer:1";
const urls = { text: "/text/", stop: "/stop/" };
const texts = { failed: "Failed.", interrupted: "Interrupted.", cancelled: "Stopped." };

/** A stream as Django keeps it. `most` is how much of it one answer has. */
class Written {
  run = "run1";
  text = "";
  state = "writing";
  most = Infinity;
  status = 200;
  exists = true;
  asked: { channel: string; run: string; after: number }[] = [];
  stopped: string[] = [];

  answer = (url: string, init: { body: string }): Promise<unknown> => {
    const body = JSON.parse(init.body) as { channel: string; run: string; after: number };
    if (url === urls.stop) {
      this.stopped.push(body.channel);
      return Promise.resolve({ ok: true, status: 200, json: () => Promise.resolve({ stopped: true }) });
    }
    this.asked.push(body);
    const at = body.run === this.run ? body.after : 0;
    const found = { run: this.run, at, text: this.text.slice(at, at + this.most), length: this.text.length, state: this.state };
    const none = { run: "", at: 0, text: "", length: 0, state: "none" };
    const { status } = this;
    return Promise.resolve({ ok: status === 200, status, json: () => Promise.resolve(this.exists ? found : none) });
  };
}

let written: Written;
let fake: FakeInstant;

beforeEach(() => {
  vi.useFakeTimers();
  written = new Written();
  vi.stubGlobal("fetch", written.answer);
  fake = createFakeInstant();
});

afterEach(() => {
  document.body.replaceChildren();
  fake.instant.disconnect();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const settled = (milliseconds = 1): Promise<unknown> => vi.advanceTimersByTimeAsync(milliseconds);

/** Lets time pass until the page listens. */
async function joined(channel: string): Promise<void> {
  for (let turn = 0; turn < 1000 && !fake.subscribed.includes(channel); turn += 1) await settled(100);
  expect(fake.subscribed).toContain(channel);
  await settled();
}

/** Publishes what Django does. */
function tell(data: object): void {
  fake.publish(CHANNEL, { eventClass: "instant:stream", data: { run: written.run, ...data } });
}

/** Appends to the text as Python does, and tells pages; `lost` messages don't arrive. */
function write(text: string, { lost = false, large = false } = {}): void {
  const at = written.text.length;
  written.text += text;
  if (!lost) tell(large ? { at, until: written.text.length } : { at, text });
}

function end(state: string, text = ""): void {
  const at = written.text.length;
  written.text += text;
  written.state = state;
  tell({ at, text, state });
}

interface Heard {
  readonly text: string;
  readonly updates: StreamUpdate[];
  readonly reader: TextStream;
}

/** Listens to the channel, and puts the text together from its pieces, too. */
async function hear(options: object = {}): Promise<Heard & { readonly pieces: string }> {
  const reader = stream(fake.instant.channel(CHANNEL), { urls, ...options });
  const updates: StreamUpdate[] = [];
  const heard = { text: "", pieces: "", updates, reader };
  reader.onText((text, update) => {
    heard.text = text;
    heard.pieces = (update.reset ? "" : heard.pieces) + update.chunk;
    updates.push(update);
  });
  await settled();
  await joined(CHANNEL);
  await settled();
  return heard;
}

test("what was written before, and what follows", async () => {
  write("Hello");
  const heard = await hear();
  expect(heard.text).toBe("Hello");
  write(", wörld 🎈");
  end("done", "!");
  await settled();
  expect(heard.text).toBe("Hello, wörld 🎈!");
  expect(heard.pieces).toBe(heard.text);
  expect(heard.updates.at(-1)).toEqual({ chunk: "!", reset: false, state: "done", done: true, error: false });
  expect(written.asked).toEqual([{ channel: CHANNEL, run: "", after: 0 }]);
  // Nothing follows, so the page lets the channel go.
  await settled(1000);
  expect(fake.subscribed).toEqual([]);
});

test("a page that begins with text asks for the rest only", async () => {
  written.text = "Hello, world";
  const start = { run: "run1", text: "Hello", length: 5, state: "writing" as const };
  const heard = await hear({ start });
  expect(heard.pieces).toBe("Hello, world");
  expect(written.asked).toEqual([{ channel: CHANNEL, run: "run1", after: 5 }]);
});

test("of a whole text nothing is asked", async () => {
  const reader = stream(fake.instant.channel(CHANNEL), { urls, start: { run: "run1", text: "All", length: 3, state: "done" } });
  const found: string[] = [];
  reader.onText((text) => found.push(text));
  await settled(20_000);
  expect([found, written.asked, fake.subscribed]).toEqual([["All"], [], []]);
});

test("what is missing is fetched, in parts where it is long", async () => {
  written.most = 4;
  const heard = await hear();
  write("lost ", { lost: true });
  write("and found");
  await settled(1000);
  expect(heard.text).toBe("lost and found");
  expect(heard.pieces).toBe(heard.text);
});

test("what is too large for a message is fetched, not too often", async () => {
  const heard = await hear();
  for (let part = 0; part < 18; part += 1) {
    write("x".repeat(1000), { large: true });
    await settled(55);
  }
  await settled(1000);
  expect(heard.text).toHaveLength(18_000);
  expect(written.asked.length).toBeLessThan(8);
  expect(heard.updates.at(-1)?.state).toBe("writing");
});

test("messages that come again, late or in another order change nothing", async () => {
  const heard = await hear();
  write("one ");
  write("two ");
  tell({ at: 0, text: "one " });
  write("three ", { lost: true });
  write("four");
  await settled();
  tell({ at: 8, text: "three " });
  end("cancelled");
  tell({ at: 14, text: "four" });
  await settled(1000);
  expect(heard.text).toBe("one two three four");
  expect(heard.pieces).toBe(heard.text);
  expect(heard.reader.state).toBe("cancelled");
});

test("what was overtaken by the end doesn't begin it again", async () => {
  const heard = await hear({ follow: true });
  write("one");
  end("cancelled");
  tell({ at: 0, text: "one" });
  await settled(1000);
  expect([heard.text, heard.reader.state]).toEqual(["one", "cancelled"]);
});

/** Django has answered, and the answer takes so long: what is told meanwhile overtakes it. */
const onItsWay = <Answer>(answer: Answer, milliseconds: number): Promise<Answer> =>
  new Promise((resolve) => setTimeout(() => { resolve(answer); }, milliseconds));

test("an end that overtakes an answer stays", async () => {
  vi.stubGlobal("fetch", (...given: Parameters<Written["answer"]>) => onItsWay(written.answer(...given), 50));
  write("All");
  const heard = await hear();
  await settled(1000);
  expect(heard.reader.state).toBe("writing");
  const asked = written.asked.length;
  live({ at: 9 }); // as if more were written, for which it asks
  await settled(20);
  expect(written.asked).toHaveLength(asked + 1);
  end("done");
  await settled(10);
  expect(heard.reader.state).toBe("done");
  await settled(120_000);
  expect([heard.text, heard.reader.state]).toEqual(["All", "done"]);
  expect(heard.updates.filter(({ state }) => state === "writing").at(-1)?.chunk).toBe("All");
});

test("an answer about the text before does not replace the one that began meanwhile", async () => {
  vi.stubGlobal("fetch", (...given: Parameters<Written["answer"]>) => onItsWay(written.answer(...given), 200));
  written.text = "The first";
  written.state = "done";
  const heard = await hear({ follow: true });
  expect(heard.text).toBe("");
  expect(written.asked).toHaveLength(1);
  Object.assign(written, { run: "run2", text: "", state: "writing" });
  write("Second");
  end("done");
  await settled(120_000);
  expect([heard.text, heard.pieces, heard.reader.state]).toEqual(["Second", "Second", "done"]);
});

test("whatever is lost and whenever the connection breaks", async () => {
  for (let seed = 1; seed <= 60; seed += 1) {
    let number = seed * 7919;
    const random = (): number => (number = (number * 48_271) % 2_147_483_647) / 2_147_483_647;
    written = new Written();
    written.most = 1 + Math.floor(random() * 20);
    vi.stubGlobal("fetch", (...given: Parameters<Written["answer"]>) =>
      random() < 0.2 ? Promise.reject(new TypeError()) : onItsWay(written.answer(...given), random() * 90),
    );
    fake = createFakeInstant();
    write("before ");
    const heard = await hear();
    for (let token = 0; token < 40; token += 1) {
      const choice = random();
      if (choice < 0.1) fake.cut();
      else if (choice < 0.15) fake.forget();
      write(`${String(token)} 🎈`, { lost: choice > 0.8, large: choice > 0.9 });
      await settled(random() * 60);
    }
    end("done", ".");
    await settled(60_000);
    expect(heard.text).toBe(written.text);
    expect(heard.pieces).toBe(written.text);
    expect(heard.reader.state).toBe("done");
    fake.instant.disconnect();
  }
});

test("a writer that is gone is noticed although nobody says so", async () => {
  write("Half");
  const heard = await hear();
  written.state = "interrupted";
  await settled(12_000);
  expect(heard.reader.state).toBe("writing");
  await settled(6000);
  expect(heard.updates.at(-1)).toMatchObject({ chunk: "", state: "interrupted", done: false, error: true });
  // It comes back.
  written.state = "writing";
  write(" and half");
  await settled();
  expect([heard.text, heard.reader.state]).toEqual(["Half and half", "writing"]);
});

/** A sign of life of who writes. */
const live = (data: object = {}): void => { tell({ at: written.text.length, text: "", alive: true, ...data }); };

test("of a writer who gives signs of life nothing is asked", async () => {
  write("Wait");
  const heard = await hear();
  const [asked, updates] = [written.asked.length, heard.updates.length];
  for (let second = 0; second < 600; second += 5) {
    live();
    await settled(5000);
  }
  expect(written.asked).toHaveLength(asked);
  expect(heard.updates).toHaveLength(updates);
  // When they stay away, Django is asked less and less.
  const times: number[] = [];
  const begin = Date.now();
  let known = written.asked.length;
  while (Date.now() < begin + 600_000) {
    await settled(1000);
    if (written.asked.length > known) times.push(Date.now() - begin);
    known = written.asked.length;
  }
  expect(times[0]).toBeGreaterThan(7000);
  expect(times[0]).toBeLessThan(14_000);
  expect(times.length).toBeGreaterThan(7);
  expect(times.length).toBeLessThan(12);
  // A message begins that anew.
  live();
  await settled(18_000);
  expect(written.asked).toHaveLength(known + 1);
});

test("a text that was deleted while it was written is at its end", async () => {
  write("Half");
  const heard = await hear();
  written.exists = false;
  await settled(18_000);
  expect([heard.text, heard.reader.state]).toEqual(["Half", "interrupted"]);
  const asked = written.asked.length;
  await settled(300_000);
  expect(written.asked).toHaveLength(asked);
});

test("pages that hear nothing don't ask at the same moment", async () => {
  await hear();
  const before = written.asked.length;
  const readers = Array.from({ length: 50 }, () => stream(fake.instant.channel(CHANNEL), { urls, start: { run: "run1", text: "", length: 0, state: "writing" } }));
  const removers = readers.map((reader) => reader.onText(() => undefined));
  await settled(1000);
  const joined = written.asked.length;
  expect(joined).toBe(before + 50);
  const counts: number[] = [];
  for (let second = 0; second < 20; second += 1) {
    const known = written.asked.length;
    await settled(1000);
    counts.push(written.asked.length - known);
  }
  expect(Math.max(...counts)).toBeLessThan(30);
  expect(counts.filter((count) => count > 0).length).toBeGreaterThan(3);
  for (const remove of removers) remove();
});

test("a sign of life tells what a page has missed, and begins nothing again", async () => {
  const heard = await hear({ follow: true });
  write("lost", { lost: true });
  live();
  await settled(1000);
  expect(heard.text).toBe("lost");
  end("done");
  const asked = written.asked.length;
  live(); // it was overtaken by the end
  await settled(1000);
  expect([heard.reader.state, written.asked.length]).toEqual(["done", asked]);
  live({ run: "older", at: 0 });
  await settled(1000);
  expect([heard.text, heard.reader.state, written.asked.length]).toEqual(["lost", "done", asked + 1]);
  written.status = 403;
  live({ run: "other" });
  await settled(1000);
  expect(heard.reader.state).toBe("denied");
  const refused = written.asked.length;
  live();
  await settled(1000);
  expect(written.asked).toHaveLength(refused);
});

test("Django and the server may be away for a while", async () => {
  const heard = await hear();
  written.status = 503;
  fake.isDown = true;
  fake.cut();
  write("Written meanwhile", { lost: true });
  await settled(12_000);
  expect(heard.text).toBe("");
  written.status = 200;
  await settled(20_000);
  expect(heard.text).toBe("Written meanwhile"); // by the page's own timer
  fake.isDown = false;
});

test("before anything is written, and without a connection", async () => {
  written.exists = false;
  fake.isDown = true;
  const reader = stream(fake.instant.channel(CHANNEL), { urls });
  let text = "";
  reader.onText((all) => { text = all; });
  await settled(20_000);
  expect(written.asked).toHaveLength(1);
  expect(reader.state).toBe("none");
  fake.isDown = false;
  await settled(60_000);
  await joined(CHANNEL);
  await settled();
  written.exists = true;
  tell({ at: 0, text: "" });
  write("New");
  await settled();
  expect([text, reader.state]).toEqual(["New", "writing"]);
  expect(written.asked).toHaveLength(2);
});

test("a text that begins anew", async () => {
  write("The first");
  const heard = await hear({ follow: true });
  end("done");
  await settled();
  Object.assign(written, { run: "run2", text: "", state: "writing" });
  tell({ at: 0, text: "" });
  write("Second");
  await settled();
  expect([heard.text, heard.pieces, heard.reader.state]).toEqual(["Second", "Second", "writing"]);
  // And one whose beginning was missed.
  Object.assign(written, { run: "run3", text: "Third", state: "writing" });
  write("!");
  await settled(1000);
  expect([heard.text, heard.pieces]).toEqual(["Third!", "Third!"]);
});

test("what a page publishes is not the text", async () => {
  fake = createFakeInstant({ rights: { [CHANNEL]: ["publish"] } });
  const heard = await hear();
  await Promise.all([
    fake.instant.channel(CHANNEL).publish({ eventClass: "instant:stream", data: { run: "run1", at: 0, text: "<forged>" } }),
    settled(1000),
  ]);
  tell({ at: "0", text: "no part" });
  fake.publish(CHANNEL, { eventClass: "instant:stream" });
  await settled();
  expect(fake.published).toHaveLength(1);
  expect(heard.text).toBe("");
});

test("who may not read", async () => {
  written.status = 403;
  const heard = await hear();
  expect(heard.updates.at(-1)).toMatchObject({ state: "denied", error: true });
  const asked = written.asked.length;
  await settled(60_000);
  expect(written.asked).toHaveLength(asked);
});

test("a right that ends", async () => {
  write("Mine");
  const heard = await hear();
  fake.revoke(CHANNEL);
  written.status = 403;
  await settled(1000);
  expect(heard.reader.state).toBe("denied");
});

test("whoever it is written for stops it", async () => {
  const heard = await hear();
  await expect(heard.reader.stop()).resolves.toBe(true);
  expect(written.stopped).toEqual([CHANNEL]);
});

test("listeners are removed", async () => {
  const aborted = new AbortController();
  const reader = stream(fake.instant.channel(CHANNEL), { urls });
  const listener = vi.fn();
  reader.onText(listener, { signal: aborted.signal });
  await settled();
  await joined(CHANNEL);
  await settled();
  const calls = listener.mock.calls.length;
  aborted.abort();
  write("more");
  await settled(20_000);
  expect(listener).toHaveBeenCalledTimes(calls);
  expect(fake.subscribed).toEqual([]);
  reader.onText(listener, { signal: aborted.signal });
  expect(listener).toHaveBeenCalledTimes(calls);
});

test("as a loop", async () => {
  write("one ");
  const reader = stream(fake.instant.channel(CHANNEL), { urls });
  const pieces: string[] = [];
  const loop = (async () => {
    for await (const piece of reader) pieces.push(piece);
  })();
  await settled();
  await joined(CHANNEL);
  await settled();
  write("two ");
  write("three");
  end("done");
  await settled();
  await loop;
  expect(pieces.join("")).toBe("one two three");
  expect(pieces.length).toBeGreaterThan(1);
});

test.each(["failed", "interrupted"])("a loop over a text that is %s", async (state) => {
  const reader = stream(fake.instant.channel(CHANNEL), { urls });
  const pieces: string[] = [];
  const loop = (async () => {
    for await (const piece of reader) pieces.push(piece);
  })();
  const failure = loop.catch((error: unknown) => error);
  await settled();
  await joined(CHANNEL);
  await settled();
  end(state, "half");
  await settled();
  expect(await failure).toBeInstanceOf(StreamError);
  expect(await failure).toMatchObject({ state, message: `The stream is ${state}` });
  expect(pieces).toEqual(["half"]);
});

let number = 0;

/** Puts an element into the page, under a name of its own: a browser defines an element once. */
async function show(attributes: Record<string, string> = {}, text = ""): Promise<InstantStreamElement> {
  const name = `instant-stream-${String((number += 1))}`;
  const customs = customElements;
  vi.stubGlobal("customElements", {
    get: () => undefined,
    define: (_: string, cls: CustomElementConstructor) => { customs.define(name, cls); },
  });
  defineStream(fake.instant, { urls, texts });
  vi.stubGlobal("customElements", customs);
  const element = document.createElement(name);
  for (const [key, value] of Object.entries({ channel: CHANNEL, ...attributes })) element.setAttribute(key, value);
  element.textContent = text;
  document.body.append(element);
  await settled();
  if (attributes["state"] !== "done") await joined(CHANNEL);
  await settled();
  return element as InstantStreamElement;
}

const said = (element: HTMLElement): string => element.shadowRoot?.querySelector("[part=status]")?.textContent ?? "";

test("the element shows text, and never HTML", async () => {
  written.text = "Hello";
  const element = await show({ run: "run1", length: "5", state: "writing" }, "Hello");
  const heard: StreamUpdate[] = [];
  document.body.addEventListener("instant:stream", ({ detail }) => heard.push(detail));
  write(" <b>world</b>");
  await settled();
  expect(element.textContent).toBe("Hello <b>world</b>");
  expect(element.children).toHaveLength(0);
  expect([element.text, element.state]).toEqual([element.textContent, "writing"]);
  end("failed");
  await settled();
  expect(element.getAttribute("state")).toBe("failed");
  expect(said(element)).toBe("Failed.");
  expect(heard.map(({ chunk, state }) => [chunk, state])).toEqual([[" <b>world</b>", "writing"], ["", "failed"]]);
});

test("a text that is whole is left as it is", async () => {
  const element = await show({ run: "run1", length: "3", state: "done" }, "All");
  expect([element.textContent, said(element), fake.subscribed]).toEqual(["All", "", []]);
  expect(written.asked).toEqual([]);
});

test("a long text doesn't become one text node", async () => {
  const element = await show();
  for (let part = 0; part < 50; part += 1) write("x".repeat(1000));
  await settled();
  expect(element.textContent).toHaveLength(50_000);
  expect(element.childNodes.length).toBeGreaterThan(5);
  expect(element.childNodes.length).toBeLessThan(20);
});

test("an element that leaves the page lets go, and goes on where it comes back", async () => {
  write("One");
  const element = await show();
  element.remove();
  await settled(1000);
  expect(fake.subscribed).toEqual([]);
  write(", two");
  document.body.append(element);
  await settled();
  await joined(CHANNEL);
  await settled();
  expect(element.textContent).toBe("One, two");
});

test("another channel begins anew", async () => {
  write("One");
  const element = await show();
  written = new Written();
  written.run = "other";
  written.text = "Other";
  vi.stubGlobal("fetch", written.answer);
  element.setAttribute("channel", "answer:2");
  await settled();
  await joined("answer:2");
  await settled();
  expect(element.textContent).toBe("Other");
  expect(written.asked).toEqual([{ channel: "answer:2", run: "", after: 0 }]);
});

test("its end is announced once", async () => {
  const element = await show();
  expect(element.shadowRoot?.querySelector("[role=status]")).not.toBeNull();
  const live = await show({ "aria-live": "polite" });
  expect(live.shadowRoot?.querySelector("[role=status]")).toBeNull();
  await live.stop();
  expect(written.stopped).toEqual([CHANNEL]);
});
