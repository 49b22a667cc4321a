/** What tabs get of the one connection, command by command. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import type { WebSocketConstructor } from "../src/options.js";
import { Hub } from "../src/shared/hub.js";
import type { Member } from "../src/shared/member.js";
import { sign } from "./fake-centrifugo.js";

type Message = Record<string, unknown>;

/** The server's end of a connection: what it was sent, and what it sends. */
class Server {
  static all: Server[] = [];
  onopen: (() => void) | undefined;
  onmessage: ((event: { data: string }) => void) | undefined;
  onclose: ((event: { code: number; reason: string }) => void) | undefined;
  readonly got: Message[] = [];
  isClosed = false;

  constructor() {
    Server.all.push(this);
  }

  send(frame: string): void {
    this.got.push(...frame.split("\n").map((line) => JSON.parse(line) as Message));
  }

  close(): void {
    this.isClosed = true;
  }

  say(...messages: Message[]): void {
    this.onmessage?.({ data: messages.map((message) => JSON.stringify(message)).join("\n") });
  }

  /** The last command of a name. */
  last(name: string): Message & { id: number } {
    return this.got.filter((command) => name in command).at(-1) as Message & { id: number };
  }

  /** Answers it. */
  answer(name: string, result: Message): void {
    this.say({ id: this.last(name).id, [name]: result });
  }
}

/** A tab that connects, and what it was told. */
class Tab {
  readonly got: Message[] = [];
  ended: [number, string] | undefined;
  isOpen = false;
  readonly member: Member;
  readonly #hub: Hub;
  #id = 0;

  constructor(hub: Hub, isOwn = false) {
    this.#hub = hub;
    const port = {
      open: () => {
        this.isOpen = true;
      },
      frame: (text: string) => {
        this.got.push(...text.split("\n").map((line) => JSON.parse(line) as Message));
      },
      end: (code: number, reason: string) => {
        this.ended = [code, reason];
      },
    };
    this.member = hub.add(port, isOwn);
  }

  send(command: Message): number {
    this.#hub.receive(this.member, JSON.stringify({ id: ++this.#id, ...command }));
    return this.#id;
  }

  /** What it was answered, or told in a push. */
  last(name: string): Message | undefined {
    const found = this.got.filter((message) => name in message || name in ((message["push"] as Message | undefined) ?? {}));
    const message = found.at(-1);
    return (message?.[name] ?? (message?.["push"] as Message | undefined)?.[name]) as Message | undefined;
  }
}

const USER = { sub: "7", exp: 0, expire_at: 0, serial: 0 };
let hub: Hub;

const tick = (): Promise<void> => vi.advanceTimersByTimeAsync(0).then(() => undefined);
const server = (): Server => Server.all.at(-1) as Server;

beforeEach(() => {
  vi.useFakeTimers();
  Server.all = [];
  hub = new Hub("ws://host", { sub: "7" }, { timeout: 5000, sizeLimit: 65536, WebSocket: Server as unknown as WebSocketConstructor });
});

afterEach(() => {
  hub.close();
  vi.useRealTimers();
});

/** Connects tabs, the first of them the hub's own. */
async function connected(count: number, result: Message = {}): Promise<Tab[]> {
  const tabs = Array.from({ length: count }, (_, index) => new Tab(hub, index === 0));
  server().onopen?.();
  for (const tab of tabs) tab.send({ connect: {} });
  await tick();
  server().answer("connect", { client: "c", ...result });
  await tick();
  return tabs;
}

async function subscribed(tabs: readonly Tab[], result: Message, request: Message = {}): Promise<void> {
  for (const tab of tabs) tab.send({ subscribe: { channel: "news", ...request } });
  await tick();
  server().answer("subscribe", result);
  await tick();
}

const POSITION = { recoverable: true, positioned: true, epoch: "e", offset: 4 };
const pub = (offset: number, more: Message = {}): Message => ({ push: { channel: "news", pub: { data: {}, offset, ...more } } });

describe("the connection", () => {
  test("tabs may connect when it is open; the first asks, all are answered with names of their own", async () => {
    const early = new Tab(hub);
    expect(early.isOpen).toBe(false);
    server().onopen?.();
    const [one, other] = [early, new Tab(hub)];
    expect([one.isOpen, other.isOpen]).toEqual([true, true]);
    one.send({ connect: { token: "one" } });
    other.send({ connect: { token: "other" } });
    other.send({ rpc: { method: "early" } });
    await tick();
    expect(server().got).toEqual([{ id: 1, connect: { token: "one" } }]);
    server().answer("connect", { client: "c", version: "v", ping: 25, pong: true, expires: true, ttl: 60 });
    await tick();
    expect(one.got).toEqual([{ id: 1, connect: { client: "c:1", version: "v" } }]);
    expect(other.last("connect")).toEqual({ client: "c:2", version: "v" });
    expect(server().got.at(-1)).toEqual({ id: 2, rpc: { method: "early" } });
  });

  test("whoever is refused is told so, and the next one is tried", async () => {
    const [one, other] = [new Tab(hub), new Tab(hub)];
    server().onopen?.();
    one.send({ connect: { token: "old" } });
    other.send({ connect: { token: "new" } });
    await tick();
    server().say({ id: 1, error: { code: 109, message: "token expired" } });
    await tick();
    expect(one.last("error")).toEqual({ code: 109, message: "token expired" });
    expect(server().got.at(-1)).toEqual({ id: 2, connect: { token: "new" } });
  });

  test("is renewed by the tab that has it, which is told how long it still lasts", async () => {
    const [own, other] = await connected(2, { expires: true, ttl: 60 });
    expect(own?.last("connect")).toMatchObject({ expires: true, ttl: 60 });
    expect(other?.last("connect")).not.toHaveProperty("expires");
    vi.advanceTimersByTime(50_000);
    own?.send({ refresh: { token: "new" } });
    await tick();
    server().answer("refresh", { expires: true, ttl: 60 });
    vi.advanceTimersByTime(20_000);
    if (own) hub.remove(own.member);
    const again = new Tab(hub, true);
    again.send({ connect: {} });
    await tick();
    expect(again.last("connect")).toMatchObject({ expires: true, ttl: 40 });
  });

  test("answers pings, and is given up when none comes", async () => {
    const [tab] = await connected(1, { ping: 25, pong: true });
    vi.advanceTimersByTime(30_000);
    server().say({});
    await tick();
    expect(server().got.at(-1)).toEqual({});
    await vi.advanceTimersByTimeAsync(35_000);
    expect(tab?.ended).toBeUndefined();
    await vi.advanceTimersByTimeAsync(35_000);
    expect(tab?.ended).toEqual([0, ""]);
    expect(server().isClosed).toBe(true);
    // Whoever comes then gets another one.
    const later = new Tab(hub);
    expect(Server.all).toHaveLength(2);
    server().onopen?.();
    expect(later.isOpen).toBe(true);
  });

  test.each(["connect", "subscribe"])("is given up when %s is not answered", async (name) => {
    const [tab] = name === "connect" ? [new Tab(hub)] : await connected(1);
    server().onopen?.();
    tab?.send({ [name]: { channel: "news" } });
    await vi.advanceTimersByTimeAsync(4999);
    expect(tab?.ended).toBeUndefined();
    await vi.advanceTimersByTimeAsync(2);
    expect(tab?.ended).toEqual([0, ""]);
  });

  test("an answer that arrived while the page did not run is read first", async () => {
    const tab = new Tab(hub);
    server().onopen?.();
    tab.send({ connect: {} });
    await tick();
    vi.setSystemTime(Date.now() + 10_000);
    vi.advanceTimersByTime(5000);
    await vi.advanceTimersByTimeAsync(500);
    server().answer("connect", { client: "c" });
    await vi.advanceTimersByTimeAsync(10_000);
    expect(tab.ended).toBeUndefined();
    expect(tab.last("connect")).toEqual({ client: "c:1" });
  });

  test("its end is told to all, after what came before it", async () => {
    const tabs = await connected(2);
    server().say({ push: { message: { data: 1 } } }, { push: { disconnect: { code: 3503, reason: "force disconnect" } } });
    expect(tabs.map(({ ended }) => ended)).toEqual([
      [3503, "force disconnect"],
      [3503, "force disconnect"],
    ]);
    expect(tabs[1]?.last("message")).toEqual({ data: 1 });
    expect(server().isClosed).toBe(true);
  });

  test("can't be opened: all are told", async () => {
    const broken = function (): never {
      throw new SyntaxError("no URL");
    };
    hub = new Hub("?", undefined, { timeout: 5000, sizeLimit: 65536, WebSocket: broken as unknown as WebSocketConstructor });
    const tab = new Tab(hub);
    await tick();
    expect(tab.ended).toEqual([0, ""]);
  });

  test("ends with the last tab, and what is answered later reaches nobody", async () => {
    const [one, other] = await connected(2);
    one?.send({ rpc: { method: "slow" } });
    await tick();
    if (one) hub.remove(one.member);
    server().answer("rpc", { data: 1 });
    await tick();
    expect(one?.last("rpc")).toBeUndefined();
    expect(server().isClosed).toBe(false);
    if (other) hub.remove(other.member);
    expect(server().isClosed).toBe(true);
  });
});

describe("a channel", () => {
  test("a token of another user ends that tab's connection only", async () => {
    const [one, other] = await connected(2);
    one?.send({ subscribe: { channel: "news", token: sign({ ...USER, sub: "8" }) } });
    other?.send({ subscribe: { channel: "news", token: sign(USER) } });
    await tick();
    expect(one?.ended).toEqual([3500, "invalid token"]);
    expect(other?.ended).toBeUndefined();
    expect(server().got.filter((command) => "subscribe" in command)).toHaveLength(1);
  });

  test("what is too large for the server ends that tab's connection only", async () => {
    const [one, other] = await connected(2);
    one?.send({ publish: { channel: "news", data: "x".repeat(65_400) } });
    await tick();
    expect(one?.ended).toBeUndefined();
    one?.send({ publish: { channel: "news", data: "x".repeat(65_500) } });
    await tick();
    expect(one?.ended).toEqual([1009, ""]);
    expect(other?.ended).toBeUndefined();
    expect(server().got.filter((command) => "publish" in command)).toHaveLength(1);
  });

  test("is asked for without what would differ from tab to tab", async () => {
    const [tab] = await connected(1);
    tab?.send({ subscribe: { channel: "news", flag: 3, delta: "fossil", data: { a: 1 } } });
    await tick();
    expect(server().last("subscribe")["subscribe"]).toEqual({ channel: "news", flag: 2, data: { a: 1 } });
  });

  test("the answer of the server is for all: position, and what came since", async () => {
    const [one, other, third] = await connected(3);
    if (!one || !other || !third) throw new Error();
    await subscribed([one, other], POSITION);
    expect([one, other].map((tab) => tab.last("subscribe"))).toEqual([POSITION, POSITION]);
    server().say(pub(5), pub(6));
    await subscribed([], {});
    third.send({ subscribe: { channel: "news" } });
    await tick();
    expect(third.last("subscribe")).toEqual({ ...POSITION, offset: 6 });
    expect(one.got.filter((message) => "push" in message)).toHaveLength(2);
  });

  test("one with an answer of its own for each tab is asked for again, without a gap for the others", async () => {
    const [one, other] = await connected(2);
    if (!one || !other) throw new Error();
    await subscribed([one], { ...POSITION, data: "for one" });
    other.send({ subscribe: { channel: "news", recover: true, offset: 2, epoch: "e" } });
    await tick();
    expect(server().got.slice(-2).map((command) => Object.keys(command)[0])).toEqual(["unsubscribe", "subscribe"]);
    const publications = [3, 4, 5].map((offset) => ({ data: {}, offset }));
    server().answer("subscribe", { ...POSITION, offset: 2, was_recovering: true, recovered: true, publications });
    await tick();
    expect(other.last("subscribe")).toMatchObject({ offset: 2, publications });
    expect(one.got.filter((message) => "push" in message)).toEqual([pub(5)]);
  });

  test("where the others may have missed something, they recover it themselves", async () => {
    const [one, other] = await connected(2);
    if (!one || !other) throw new Error();
    await subscribed([one], { ...POSITION, data: "for one" });
    await subscribed([other], { ...POSITION, offset: 6, data: "for the other" });
    expect(one.last("unsubscribe")).toMatchObject({ code: 2500 });
    expect(other.last("unsubscribe")).toBeUndefined();
    // It has what the other one's subscription began with.
    one.send({ subscribe: { channel: "news", recover: true, offset: 4, epoch: "e" } });
    await tick();
    const publications = [5, 6].map((offset) => ({ data: {}, offset }));
    server().answer("subscribe", { ...POSITION, was_recovering: true, recovered: true, publications });
    await tick();
    expect(one.last("subscribe")).toMatchObject({ recovered: true, publications });
    expect(other.got.filter((message) => "push" in message)).toEqual([]);
  });

  test("where it can't be had anew, the others try for themselves", async () => {
    const [one, other] = await connected(2);
    if (!one || !other) throw new Error();
    await subscribed([one], { ...POSITION, data: "for one" });
    other.send({ subscribe: { channel: "news" } });
    await tick();
    server().say({ id: server().last("subscribe").id, error: { code: 103, message: "permission denied" } });
    await tick();
    expect(one.last("unsubscribe")).toMatchObject({ code: 2500 });
    expect(other.last("error")).toMatchObject({ code: 103 });
  });

  test("with what one tab wants to hear it is asked for anew; what is kept stays, and others are answered here", async () => {
    const [one, other, third] = await connected(3);
    if (!one || !other || !third) throw new Error();
    await subscribed([one], POSITION);
    server().say(pub(5));
    await subscribed([other], { ...POSITION, offset: 6 }, { join_leave: true, recover: true, offset: 5, epoch: "e" });
    expect(server().last("subscribe")["subscribe"]).toMatchObject({ join_leave: true });
    // The server has lost what came between, so the first one tries for itself.
    expect(one.last("unsubscribe")).toMatchObject({ code: 2500 });
    await subscribed([one], { ...POSITION, offset: 6, was_recovering: true, recovered: true }, { recover: true, offset: 6, epoch: "e" });
    server().say(pub(7));
    const before = server().got.length;
    third.send({ subscribe: { channel: "news", join_leave: true } });
    third.send({ subscribe: { channel: "news", recover: true, offset: 6, epoch: "e" } });
    await tick();
    expect(server().got.length).toBe(before);
    expect(third.last("subscribe")).toMatchObject({ offset: 6, publications: [{ data: {}, offset: 7 }] });
  });

  test("what was kept before it was asked for anew is kept", async () => {
    const [one, other, third] = await connected(3);
    if (!one || !other || !third) throw new Error();
    await subscribed([one], POSITION);
    server().say(pub(5));
    const publications = [{ data: {}, offset: 6 }];
    await subscribed([other], { ...POSITION, offset: 5, recovered: true, publications }, { join_leave: true, recover: true, offset: 5 });
    const before = server().got.length;
    third.send({ subscribe: { channel: "news", recover: true, offset: 4, epoch: "e" } });
    await tick();
    expect(third.last("subscribe")?.["publications"]).toEqual([5, 6].map((offset) => ({ data: {}, offset })));
    third.send({ subscribe: { channel: "news" } });
    await tick();
    expect(third.last("subscribe")).toEqual({ ...POSITION, offset: 6 });
    expect(server().got.length).toBe(before);
    expect(one.got.filter((message) => "push" in message)).toEqual([pub(5), pub(6)]);
  });

  test("what is older than what is kept is asked for", async () => {
    const [one, other] = await connected(2);
    if (!one || !other) throw new Error();
    await subscribed([one], { ...POSITION, offset: 0 });
    for (let offset = 1; offset <= 300; offset += 1) server().say(pub(offset));
    other.send({ subscribe: { channel: "news", recover: true, offset: 44, epoch: "e" } });
    await tick();
    expect((other.last("subscribe")?.["publications"] as unknown[]).length).toBe(256);
    const before = server().got.length;
    other.send({ subscribe: { channel: "news", recover: true, offset: 43, epoch: "e" } });
    await tick();
    expect(server().got.length - before).toBe(2);
  });

  test("is renewed by one tab; when that is gone, another makes it anew as it expires", async () => {
    const [one, other, third] = await connected(3);
    if (!one || !other || !third) throw new Error();
    await subscribed([one, other], { ...POSITION, expires: true, ttl: 60 });
    expect([one, other].map((tab) => tab.last("subscribe")?.["ttl"])).toEqual([60, undefined]);
    one.send({ sub_refresh: { channel: "news", token: sign(USER) } });
    await tick();
    vi.advanceTimersByTime(10_000);
    server().answer("sub_refresh", { expires: true, ttl: 60 });
    hub.remove(one.member);
    await vi.advanceTimersByTimeAsync(59_000);
    expect(other.last("unsubscribe")).toBeUndefined();
    await vi.advanceTimersByTimeAsync(1000);
    expect(other.last("unsubscribe")).toMatchObject({ code: 2501 });
    other.send({ subscribe: { channel: "news", recover: true, offset: 4, epoch: "e", token: sign(USER) } });
    await tick();
    server().answer("subscribe", { ...POSITION, was_recovering: true, recovered: true, expires: true, ttl: 60 });
    await tick();
    expect(other.last("subscribe")).toMatchObject({ recovered: true, ttl: 60 });
    third.send({ subscribe: { channel: "news", recover: true, offset: 4, epoch: "e" } });
    await tick();
    expect(third.last("subscribe")).toMatchObject({ recovered: true });
    expect(third.last("subscribe")).not.toHaveProperty("ttl");
  });

  test("a tab that leaves while it is asked for gets nothing of it", async () => {
    const [one, other] = await connected(2);
    one?.send({ subscribe: { channel: "news" } });
    other?.send({ subscribe: { channel: "news" } });
    one?.send({ unsubscribe: { channel: "news" } });
    await tick();
    server().answer("subscribe", { ...POSITION, expires: true, ttl: 60 });
    await tick();
    server().say(pub(5));
    await tick();
    expect(one?.got.map((message) => Object.keys(message).at(-1))).toEqual(["connect", "unsubscribe"]);
    expect(other?.last("pub")).toEqual({ data: {}, offset: 5 });
    // It is the one that renews it now.
    expect(other?.last("subscribe")).toMatchObject({ expires: true, ttl: 60 });
    other?.send({ unsubscribe: { channel: "news" } });
    await tick();
    expect(server().got.at(-1)).toMatchObject({ unsubscribe: { channel: "news" } });
  });

  test("publications name the tab they come from, in the order in which they were sent", async () => {
    const [one, other] = await connected(2);
    if (!one || !other) throw new Error();
    await subscribed([one, other], POSITION);
    const publish = (tab: Tab, data: Message): number => tab.send({ publish: { channel: "news", data } });
    publish(one, { id: "lost" });
    publish(other, { id: "b" });
    publish(one, { text: 1 });
    publish(other, { text: 2 });
    await tick();
    const info = { client: "c", user: "7" };
    server().say({ id: server().last("publish").id, error: { code: 100 } });
    server().say(pub(5, { data: { id: "b" }, info }), pub(6, { info }), pub(7, { info }), pub(8, { info: { client: "d" } }));
    await tick();
    const from = one.got.flatMap(({ push }) => (push as { pub: { info: { client: string } } } | undefined)?.pub.info.client ?? []);
    expect(from).toEqual(["c:2", "c:1", "c", "d"]);
  });
});
