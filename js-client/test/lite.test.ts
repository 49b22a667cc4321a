// @vitest-environment happy-dom
/** The lite script: what it does with what Django and the server answer. tests/client/test_lite.py has real ones. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { createLite, type Lite, type LiteOptions } from "../src/lite/index.js";

interface Stream {
  readonly url: string;
  readonly body: { readonly token?: string };
  readonly signal: AbortSignal;
  send(...pushes: object[]): void;
  end(): void;
}

let asked: { ticket: boolean }[];
let wanted: { session: string; channels: Record<string, object | null> }[];
let granted: Record<string, object>;
let unknown: string[];
let wrong: object;
let gate: Promise<void>;
let streams: Stream[];
let answer: () => Response;
let refusesStreams: boolean;

function stream(url: string, { body, signal }: RequestInit): Response {
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  const readable = new ReadableStream<Uint8Array>({ start(given) { controller = given; } });
  signal?.addEventListener("abort", () => { controller?.error(new Error("aborted")); });
  streams.push({
    url,
    body: JSON.parse(body as string) as Stream["body"],
    signal: signal as AbortSignal,
    send: (...pushes) => {
      // Cut where it does not suit: a message may come in parts.
      const bytes = new TextEncoder().encode(pushes.map((push) => `${JSON.stringify(push)}\n`).join(""));
      controller?.enqueue(bytes.slice(0, 7));
      controller?.enqueue(bytes.slice(7));
    },
    end: () => controller?.close(),
  });
  return { ok: true, body: readable } as Response;
}

class FakeSource {
  static all: FakeSource[] = [];
  readonly url: string;
  onmessage: ((event: { data: string }) => void) | undefined;
  onerror: (() => void) | undefined;
  isClosed = false;
  constructor(url: string) {
    this.url = url;
    FakeSource.all.push(this);
  }
  close(): void {
    this.isClosed = true;
  }
}

const opening = (): Response =>
  Response.json({ urls: ["http://one/connection/", "http://two/connection/"], token: "t", ticket: `ticket ${String(asked.length)}` });

const begun = (...more: object[]): object[] => [{ connect: { ping: 25, session: "s" } }, ...more];
const starts = (more: object = {}, name = "news"): object => ({ channel: `acme/${name}`, subscribe: { recoverable: true, epoch: "e", offset: 0, ...more } });
const grant = (name: string, publications?: object[]): object => ({ [name]: { name: `acme/${name}`, publications } });
const message = (text: string, offset: number, id = ""): object => ({ channel: "acme/news", pub: { data: { message: text, id }, offset } });

const open: Lite[] = [];
function lite(options: Partial<LiteOptions> = {}): Lite {
  const made = createLite({ url: "/instant/lite/", ...options });
  open.push(made);
  return made;
}

beforeEach(() => {
  [asked, wanted, streams, FakeSource.all, refusesStreams] = [[], [], [], [], false];
  [granted, unknown, gate, answer] = [{ ...grant("news") }, [], Promise.resolve(), opening];
  wrong = {};
  vi.useFakeTimers();
  vi.spyOn(Math, "random").mockReturnValue(1);
  vi.stubGlobal("EventSource", FakeSource);
  vi.stubGlobal("fetch", (url: string, init: RequestInit) => {
    if (url === "/instant/lite/") {
      const body = JSON.parse(init.body as string) as (typeof asked)[number] & (typeof wanted)[number];
      if (body.session) {
        wanted.push(body);
        return gate.then(() => Response.json({ channels: granted, unknown, ...wrong }));
      }
      asked.push(body);
      return Promise.resolve(answer());
    }
    return refusesStreams ? Promise.reject(new TypeError("refused")) : Promise.resolve(stream(url, init));
  });
});

afterEach(() => {
  dispatchEvent(new Event("pagehide"));
  vi.useRealTimers();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

const pass = (milliseconds: number): Promise<unknown> => vi.advanceTimersByTimeAsync(milliseconds);
const last = (): Stream => streams.at(-1) as Stream;

async function live(instant: Lite, ...pushes: object[]): Promise<string[]> {
  const heard: string[] = [];
  instant.channel("news").on("*", ({ message: text, recovered }) => heard.push(recovered ? `${text}!` : text));
  await pass(20);
  last().send(...begun(starts(), ...pushes));
  await pass(0);
  return heard;
}

test("a channel that was left twice, and is listened to again, stays", async () => {
  const instant = lite();
  await live(instant);
  const channel = instant.channel("sport");
  const listen = (): (() => void) => channel.on("*", () => undefined);
  granted = { ...grant("news"), ...grant("sport") };
  listen()();
  await pass(100);
  listen()();
  await pass(250); // the first timer has ended it
  const heard: string[] = [];
  channel.on("*", ({ message: text }) => heard.push(text));
  await pass(400); // and the second one was for the same
  last().send(...begun(starts(), starts({}, "sport")));
  await pass(0);
  expect(wanted.at(-1)?.channels).toHaveProperty("sport");
  expect(channel.status).toBe("live");
  last().send({ channel: "acme/sport", pub: { data: { message: "goal" }, offset: 1 } });
  await pass(0);
  expect(heard).toEqual(["goal"]);
});

test("one connection for all channels, with the token in a body, which Django subscribes", async () => {
  const instant = lite();
  const heard = await live(instant);
  expect(asked).toEqual([{ ticket: false }]);
  expect(last()).toMatchObject({ url: "http://one/connection/uni_http_stream", body: { token: "t" } });
  expect(wanted).toEqual([{ session: "s", channels: { news: null } }]);
  expect([instant.status, instant.channel("news").status]).toEqual(["live", "live"]);
  granted = { ...grant("news"), ...grant("sport") };
  instant.channel("sport").on("goal", () => heard.push("goal"));
  await pass(20);
  expect(streams[0]?.signal.aborted).toBe(true);
  last().send(...begun(starts(), starts({}, "sport")));
  await pass(0);
  expect(wanted[1]?.channels).toEqual({ news: { epoch: "e", offset: 0 }, sport: null });
  last().send({ channel: "acme/sport", pub: { data: { event_class: "goal", data: 1 } } }, { channel: "acme/sport", pub: { data: { event_class: "foul" } } });
  await pass(0);
  expect(heard).toEqual(["goal"]);
});

test("what Django says is wrong with the page is on its console, and the rest goes on", async () => {
  const said = vi.spyOn(console, "error").mockReturnValue();
  wrong = { error: "The page listens to a channel without a name." };
  const instant = lite();
  instant.channel("").on("*", () => undefined);
  await live(instant);
  expect(wanted.at(-1)?.channels).toEqual({ "": null, news: null });
  expect([instant.channel("").status, instant.channel("news").status]).toEqual(["denied", "live"]);
  expect(said.mock.calls).toEqual([["The page listens to a channel without a name."]]);
});

test.each([400, 429, 500])("an answer %d says why on the console, and it tries again", async (status) => {
  const said = vi.spyOn(console, "error").mockReturnValue();
  answer = () => Response.json({ error: "not now" }, { status });
  const instant = lite();
  instant.channel("news").on("*", () => undefined);
  await pass(20);
  expect([instant.status, said.mock.calls]).toEqual(["offline", [["not now"]]]);
  answer = opening;
  await pass(500);
  expect(streams).toHaveLength(1);
});

test("each message once, and in order after a break, whatever comes first", async () => {
  const instant = lite();
  const heard = await live(instant, message("a", 1, "x"), {}, message("a", 1, "x"), message("again", 2, "x"));
  expect(heard).toEqual(["a"]);
  last().end();
  await pass(0);
  expect([instant.status, instant.channel("news").status]).toEqual(["offline", "subscribing"]);
  let open: (() => void) | undefined;
  gate = new Promise((resolve) => { open = resolve; });
  granted = { ...grant("news", [{ data: { message: "b" }, offset: 3 }, { data: { message: "c" }, offset: 4 }]) };
  await pass(500);
  last().send(...begun(starts({ offset: 3 }), message("c", 4), message("d", 5)));
  await pass(0);
  expect([heard, wanted.at(-1)?.channels]).toEqual([["a"], { news: { epoch: "e", offset: 2 } }]);
  open?.();
  await pass(0);
  expect(heard).toEqual(["a", "b!", "c!", "d"]);
  // Or the server is late.
  last().end();
  granted = { ...grant("news", [{ data: { message: "e" }, offset: 6 }]) };
  await pass(500);
  last().send(...begun());
  await pass(0);
  expect(heard).toHaveLength(4);
  last().send(starts({ offset: 6 }), message("f", 7));
  await pass(0);
  expect(heard).toEqual(["a", "b!", "c!", "d", "e!", "f"]);
  expect(instant.channel("news").status).toBe("live");
});

test.each([
  ["another history", { epoch: "other", offset: 9 }, undefined],
  ["more than is handed out", { offset: 9 }, [{ data: { message: "b" }, offset: 2 }]],
  ["the oldest are gone", { offset: 9 }, [{ data: { message: "y" }, offset: 9 }]],
  ["the server does not say", { offset: 9 }, undefined],
])("what is lost is told, and it is live again when the page has loaded it: %s", async (_, start, publications) => {
  const instant = lite();
  const heard = await live(instant, message("a", 1));
  const statuses: string[] = [];
  instant.channel("news").onStatus((status) => statuses.push(status));
  let loaded: (() => void) | undefined;
  instant.channel("news").onLost(() => new Promise<void>((resolve) => { loaded = resolve; }));
  last().end();
  granted = { ...grant("news", publications) };
  await pass(500);
  last().send(...begun(starts(start), message("z", 10)));
  await pass(0);
  expect(statuses).toEqual(["subscribing", "live", "lost"]);
  expect(heard.at(-1)).toBe("z");
  loaded?.();
  await pass(0);
  expect(statuses.at(-1)).toBe("live");
  // Django says so, too; a page that publishes it says nothing.
  last().send({ channel: "acme/news", pub: { data: { event_class: "instant:lost", message: "" }, info: { user: "7", client: "c" } } });
  await pass(0);
  expect(statuses.at(-1)).toBe("live");
  last().send({ channel: "acme/news", pub: { data: { event_class: "instant:lost", message: "" } } });
  await pass(0);
  expect(statuses.at(-1)).toBe("lost");
});

test("it tries less and less often, the other way in between, and at once when the network is back", async () => {
  refusesStreams = true;
  const instant = lite();
  instant.channel("news").on("*", () => undefined);
  await pass(20);
  expect(asked.map(({ ticket }) => ticket)).toEqual([false]);
  await pass(500);
  expect(asked.map(({ ticket }) => ticket)).toEqual([false, false]);
  await pass(1000);
  // A stream that fails twice may never come.
  expect(asked.map(({ ticket }) => ticket)).toEqual([false, false, true]);
  FakeSource.all[0]?.onerror?.();
  await pass(1999);
  expect(asked).toHaveLength(3);
  expect(instant.status).toBe("offline");
  dispatchEvent(new Event("online"));
  await pass(0);
  expect(asked).toHaveLength(4);
});

test("an EventSource has a ticket in its URL, and asks with none twice", async () => {
  const instant = lite({ ways: ["sse"] });
  const heard: string[] = [];
  instant.channel("news").on("*", ({ message: text }) => heard.push(text));
  await pass(20);
  const [source] = FakeSource.all;
  expect(source?.url).toBe(`http://one/connection/uni_sse?cf_connect=${encodeURIComponent('{"data":{"ticket":"ticket 1"}}')}`);
  for (const push of begun(starts(), message("a", 1))) source?.onmessage?.({ data: JSON.stringify(push) });
  await pass(0);
  expect(heard).toEqual(["a"]);
  source?.onerror?.();
  expect(source?.isClosed).toBe(true);
  await pass(500);
  expect(FakeSource.all[1]?.url).toContain("ticket%202");
});

test("a server that is silent is left", async () => {
  const instant = lite();
  await live(instant);
  await pass(34_999);
  expect(instant.status).toBe("live");
  await pass(1);
  expect(instant.status).toBe("offline");
  await pass(500);
  // Nor does it wait for a beginning for ever.
  expect(instant.status).toBe("connecting");
  await pass(10_000);
  expect(instant.status).toBe("offline");
});

test("a server that ends it for good is not asked again; others are", async () => {
  const instant = lite();
  await live(instant, { disconnect: { code: 3005 } });
  expect(instant.status).toBe("offline");
  await pass(500);
  last().send(...begun(), { disconnect: { code: 3501 } });
  await pass(0);
  expect(instant.status).toBe("stopped");
  await pass(100_000);
  expect(asked).toHaveLength(2);
});

test("what Django refuses is denied, and what it can't tell now is asked again", async () => {
  const instant = lite();
  [granted, unknown] = [{}, ["news"]];
  for (const name of ["news", "other"]) instant.channel(name).on("*", () => undefined);
  await pass(20);
  last().send(...begun());
  await pass(0);
  expect([instant.channel("news").status, instant.channel("other").status]).toEqual(["subscribing", "denied"]);
  [granted, unknown] = [{ ...grant("news") }, []];
  await pass(20_000);
  last().send(...begun(starts()));
  await pass(0);
  expect(instant.channel("news").status).toBe("live");
  last().send({ channel: "acme/news", unsubscribe: { code: 2000 } });
  await pass(0);
  expect(instant.channel("news").status).toBe("denied");
});

test("a browser that may not connect is signed out", async () => {
  answer = () => Response.json({}, { status: 403 });
  const instant = lite();
  instant.channel("news").on("*", () => undefined);
  await pass(60_000);
  expect([instant.status, asked.length]).toEqual(["signed-out", 1]);
});

test("it ends with the last listener, and goes on where a fragment is replaced", async () => {
  const instant = lite();
  const off = instant.channel("news").on("*", () => undefined, { key: "a" });
  await pass(20);
  instant.channel("news").on("*", () => undefined, { key: "a" });
  off();
  await pass(1000);
  expect(asked).toHaveLength(1);
  const controller = new AbortController();
  instant.channel("news").on("*", () => undefined, { key: "a", signal: controller.signal });
  controller.abort();
  await pass(299);
  expect(last().signal.aborted).toBe(false);
  await pass(10);
  expect([last().signal.aborted, instant.status]).toEqual([true, "idle"]);
});
