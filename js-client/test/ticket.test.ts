/** Calls that Python has put into a queue. */
import { beforeEach, describe, expect, test } from "vitest";

import type { Instant } from "../src/instant.js";
import type { TicketState } from "../src/types.js";
import { Refusal, sign } from "./fake-centrifugo.js";
import { soon, until, useSite } from "./site.js";

const site = useSite();
const CHANNEL = "ticket:t1";
type State = Omit<TicketState, "id">;

/** What Django knows of the ticket. */
let row: TicketState;
/** How often Django was asked for it. */
let asked: number;

const state = (name: State["state"], more: Partial<State> = {}): TicketState => ({ id: "t1", state: name, ...more });
const [QUEUED, DONE] = [state("queued"), state("done", { result: 42 })];
const RUNNING = [0.1, 0.5, 0.9].map((progress) => state("running", { progress, message: "so far" }));

function grant(): object {
  const now = Math.ceil(Date.now() / 1000);
  const claims = { sub: "", channel: CHANNEL, exp: now + 30, expire_at: now + 3600, serial: 1e9 };
  return { id: "t1", channel: CHANNEL, token: sign(claims), exp: claims.exp };
}

/** A change: first the row, then the message. */
function change(next: TicketState): void {
  row = next;
  site.centrifugo.publish(CHANNEL, { event_class: "instant:ticket", data: next });
}

beforeEach(() => {
  asked = 0;
  row = QUEUED;
  const { methods } = site.centrifugo;
  methods.set("report", () => {
    change(QUEUED);
    return { "instant:ticket": grant() };
  });
  methods.set("instant.ticket", (data) => {
    asked += 1;
    if ((data as { id: string }).id !== "t1") throw new Refusal(404, "there is no such ticket");
    return { ...grant(), id: undefined, ticket: row };
  });
  methods.set("instant.cancel", () => {
    change(state("cancelled"));
    return row;
  });
});

async function subscribed(): Promise<void> {
  await soon(() => {
    expect(site.centrifugo.subscribed).toEqual([CHANNEL]);
  });
}

function seen(): { states: TicketState[]; add: (state: TicketState) => void } {
  const states: TicketState[] = [];
  return { states, add: (one) => states.push(one) };
}

describe("a queued call", () => {
  test("is the promise of the result, and tells each state once and in order", async () => {
    const { states, add } = seen();
    const call = site.instant().rpc<number>("report").onProgress(add);
    expect(await call.ticket).toBe("t1");
    await subscribed();
    for (const one of RUNNING) change(one);
    await soon(() => {
      expect(states).toHaveLength(4);
    });
    const late = seen();
    void call.onProgress(late.add);
    change(DONE);
    expect(await call).toBe(42);
    expect(states).toEqual([QUEUED, ...RUNNING, DONE]);
    expect(late.states).toEqual([RUNNING[2], DONE]);
    // Nobody had to ask Django, and nothing stays.
    expect(asked).toBe(0);
    await soon(() => {
      expect(site.centrifugo.subscribed).toEqual([]);
    });
    const after = seen();
    void call.onProgress(after.add);
    await soon(() => {
      expect(after.states).toEqual([DONE]);
    });
  });

  test("has a result that came before the page could listen", async () => {
    site.centrifugo.methods.set("report", () => {
      for (const one of [QUEUED, ...RUNNING, DONE]) change(one);
      return { "instant:ticket": grant() };
    });
    const { states, add } = seen();
    expect(await site.instant().rpc("report").onProgress(add)).toBe(42);
    expect(states).toEqual([QUEUED, ...RUNNING, DONE]);
  });

  test("has it too where the channel does not keep it, and after a restart of the server", async () => {
    const { states, add } = seen();
    site.centrifugo.methods.set("report", () => {
      for (const one of [QUEUED, DONE]) change(one);
      site.centrifugo.forget();
      return { "instant:ticket": grant() };
    });
    expect(await site.instant().rpc("report").onProgress(add)).toBe(42);
    site.centrifugo.keepsHistory = false;
    expect(await site.instant().rpc("report").onProgress(add)).toBe(42);
    expect(states).toEqual([DONE, DONE]);
    expect(asked).toBe(2);
  });

  test.each([
    [{ error: { code: 409, message: "no such year" } }, { code: 409, message: "no such year" }],
    [{ error: null }, { code: 499, message: "failed" }],
  ])("that failed rejects: %j", async (more, expected) => {
    const call = site.instant().rpc("report");
    await subscribed();
    change(state("failed", more));
    await expect(call).rejects.toMatchObject({ name: "RpcError", method: "report", temporary: false, ...expected });
  });

  test("can be cancelled", async () => {
    const { states, add } = seen();
    const call = site.instant().rpc("report").onProgress(add);
    const failed = expect(call).rejects.toMatchObject({ name: "RpcError", code: 499, message: "cancelled" });
    await call.cancel();
    await failed;
    expect(states.at(-1)).toEqual(state("cancelled"));
    await call.cancel();
    expect(site.centrifugo.received.filter(({ params }) => params.method === "instant.cancel")).toHaveLength(1);
  });

  test("that is done before it could be cancelled has its result", async () => {
    site.centrifugo.methods.set("instant.cancel", () => {
      change(DONE);
      return row;
    });
    const call = site.instant().rpc("report");
    await call.cancel();
    expect(await call).toBe(42);
  });

  test("is let go when the signal aborts, and goes on", async () => {
    const [controller, reason] = [new AbortController(), new Error("left")];
    const instant = site.instant();
    const call = instant.rpc("report", {}, { signal: controller.signal });
    await subscribed();
    const other = instant.ticket("t1");
    expect(await other.ticket).toBe("t1");
    controller.abort(reason);
    await expect(call).rejects.toBe(reason);
    expect(site.centrifugo.subscribed).toEqual([CHANNEL]);
    change(DONE);
    expect(await other).toBe(42);
    const last = instant.rpc("report", {}, { signal: controller.signal });
    await expect(last).rejects.toBe(reason);
  });
});

describe("a connection that breaks", () => {
  test("loses nothing", async () => {
    const { states, add } = seen();
    const instant = site.instant();
    const call = instant.rpc("report").onProgress(add);
    await subscribed();
    for (const one of RUNNING) {
      site.centrifugo.cut();
      change(one);
      await soon(() => {
        expect(states.at(-1)).toEqual(one);
      });
    }
    site.centrifugo.cut();
    change(DONE);
    expect(await call).toBe(42);
    expect(states).toEqual([QUEUED, ...RUNNING, DONE]);
    expect(asked).toBe(0);
  });

  test("and a server that has forgotten", async () => {
    const { states, add } = seen();
    const instant = site.instant();
    const call = instant.rpc("report").onProgress(add);
    await subscribed();
    row = RUNNING[1] as TicketState;
    site.centrifugo.forget();
    site.centrifugo.cut();
    await soon(() => {
      expect(states).toEqual([QUEUED, RUNNING[1]]);
    });
    change(DONE);
    expect(await call).toBe(42);
    expect(states).toEqual([QUEUED, RUNNING[1], DONE]);
  });

  test("or a subscription that begins again while Django is asked: it is asked once more", async () => {
    site.centrifugo.keepsHistory = false; // so it is asked after each subscription
    const answers: ((value: unknown) => void)[] = [];
    site.centrifugo.methods.set("instant.ticket", () => {
      asked += 1;
      const answer = { ...grant(), id: undefined, ticket: row };
      return new Promise((resolve) => answers.push(() => { resolve(answer); }));
    });
    const { states, add } = seen();
    const call = site.instant().rpc("report").onProgress(add);
    await soon(() => {
      expect(answers).toHaveLength(1);
    });
    row = DONE; // and its message is lost
    const subscriptions = site.centrifugo.count("subscribe");
    site.centrifugo.unsubscribe(CHANNEL, 2500);
    await soon(() => {
      expect(site.centrifugo.count("subscribe")).toBe(subscriptions + 1);
    });
    await subscribed();
    await new Promise((resolve) => setTimeout(resolve, 50)); // the page hears that it is
    answers[0]?.(undefined);
    await soon(() => {
      expect(states).toEqual([QUEUED]);
      expect(answers).toHaveLength(2);
    });
    answers[1]?.(undefined);
    expect(await call).toBe(42);
    expect([states, asked]).toEqual([[QUEUED, DONE], 2]);
  });

  test("and a token that has expired meanwhile: Django gives another", async () => {
    const call = site.instant().rpc("report");
    await subscribed();
    site.centrifugo.expireTokens(1e9 - 1);
    const { methods } = site.centrifugo;
    const known = methods.get("instant.ticket");
    methods.set("instant.ticket", (data) => ({ ...(known?.(data) as object) }));
    site.centrifugo.unsubscribe(CHANNEL, 2500);
    await subscribed();
    change(DONE);
    expect(await call).toBe(42);
  });
});

describe("instant.ticket() takes a call up again", () => {
  async function reloaded(): Promise<Instant> {
    const before = site.instant();
    const call = before.rpc("report");
    void call.catch(() => undefined);
    await subscribed();
    change(RUNNING[0] as TicketState);
    before.disconnect();
    await soon(() => {
      expect(site.centrifugo.subscribed).toEqual([]);
    });
    return site.instant();
  }

  test("with the last state, and all that follow", async () => {
    const instant = await reloaded();
    const { states, add } = seen();
    const call = instant.ticket<number>("t1").onProgress(add);
    await subscribed();
    await soon(() => {
      expect(states).toEqual([RUNNING[0]]);
    });
    change(RUNNING[1] as TicketState);
    change(DONE);
    expect(await call).toBe(42);
    expect(states).toEqual([RUNNING[0], RUNNING[1], DONE]);
  });

  test("which is done meanwhile", async () => {
    const instant = await reloaded();
    change(DONE);
    const { states, add } = seen();
    expect(await instant.ticket("t1").onProgress(add)).toBe(42);
    expect(states).toEqual([DONE]);
    expect(site.centrifugo.subscribed).toEqual([]);
  });

  test("which is done between the answer and the subscription", async () => {
    const instant = await reloaded();
    const known = site.centrifugo.methods.get("instant.ticket");
    site.centrifugo.methods.set("instant.ticket", (data) => {
      const answer = known?.(data);
      change(RUNNING[1] as TicketState);
      change(DONE);
      return answer;
    });
    const { states, add } = seen();
    expect(await instant.ticket("t1").onProgress(add)).toBe(42);
    expect(states).toEqual([RUNNING[0], RUNNING[1], DONE]);
  });

  test("whose message comes after the answer that told it", async () => {
    const instant = await reloaded();
    row = RUNNING[1] as TicketState;
    const { states, add } = seen();
    const call = instant.ticket("t1").onProgress(add);
    await subscribed();
    await soon(() => {
      expect(states).toEqual([RUNNING[1]]);
    });
    change(RUNNING[1] as TicketState);
    change(DONE);
    expect(await call).toBe(42);
    expect(states).toEqual([RUNNING[1], DONE]);
  });

  test("that was never there, or is somebody else's", async () => {
    const call = site.instant().ticket("nothing");
    await expect(call).rejects.toMatchObject({ name: "RpcError", code: 404, message: "there is no such ticket" });
  });

  test("several times on a page", async () => {
    const instant = await reloaded();
    const both = [instant.ticket("t1"), instant.ticket("t1")];
    await subscribed();
    await Promise.all(both.map(({ ticket }) => ticket));
    change(DONE);
    expect(await Promise.all(both)).toEqual([42, 42]);
    expect(site.centrifugo.count("subscribe")).toBe(2);
  });
});

describe("a channel that keeps its last message only", () => {
  beforeEach(() => {
    site.centrifugo.isLatest = true;
    site.centrifugo.methods.set("report", () => ({ "instant:ticket": grant() }));
  });

  test("before the first message, Django is asked", async () => {
    const { states, add } = seen();
    const call = site.instant().rpc("report").onProgress(add);
    await soon(() => {
      expect(states).toEqual([QUEUED]);
    });
    for (const one of [...RUNNING, DONE]) change(one);
    expect(await call).toBe(42);
    expect(states).toEqual([QUEUED, ...RUNNING, DONE]);
    expect(asked).toBe(1);
  });

  test("a page that is late, or comes back, has the last state", async () => {
    const { states, add } = seen();
    site.centrifugo.methods.set("report", () => {
      change(RUNNING[0] as TicketState);
      change(RUNNING[1] as TicketState);
      return { "instant:ticket": grant() };
    });
    const call = site.instant().rpc("report").onProgress(add);
    await soon(() => {
      expect(states).toEqual([RUNNING[1]]);
    });
    site.centrifugo.cut();
    change(RUNNING[2] as TicketState);
    change(DONE);
    expect(await call).toBe(42);
    expect(states).toEqual([RUNNING[1], DONE]);
    expect(asked).toBe(0);
  });

  test("a page that was reloaded goes on, whatever comes between", async () => {
    change(RUNNING[0] as TicketState);
    const known = site.centrifugo.methods.get("instant.ticket");
    site.centrifugo.methods.set("instant.ticket", (data) => {
      const answer = known?.(data);
      if (asked === 1) change(RUNNING[1] as TicketState);
      return answer;
    });
    const { states, add } = seen();
    const call = site.instant().ticket("t1").onProgress(add);
    await soon(() => {
      expect(states).toEqual([RUNNING[0], RUNNING[1]]);
    });
    change(DONE);
    expect(await call).toBe(42);
    expect(states).toEqual([RUNNING[0], RUNNING[1], DONE]);
  });
});

test("what a page has published there is not believed", async () => {
  const call = site.instant().rpc("report");
  await subscribed();
  site.centrifugo.publish(CHANNEL, { data: state("done", { result: "forged" }) }, { client: "c", user: "eve" });
  site.centrifugo.publish(CHANNEL, { data: { state: "toString" } });
  change(DONE);
  expect(await call).toBe(42);
});

test("where the page can't listen, Django is asked now and then", { timeout: 60_000 }, async () => {
  const instant = site.instant({ urls: { rpc: `${site.django.url}/instant/rpc/` } });
  site.centrifugo.refuses = true;
  site.django.methods.set("report", () => ({ status: 200, body: { data: { "instant:ticket": grant() } } }));
  site.django.methods.set("instant.ticket", () => {
    asked += 1;
    if (asked === 1) return { status: 503, body: { error: "not available", code: 503 } };
    return { status: 200, body: { data: { ticket: asked === 2 ? QUEUED : DONE } } };
  });
  const { states, add } = seen();
  expect(await instant.rpc("report").onProgress(add)).toBe(42);
  expect(states).toEqual([QUEUED, DONE]);
});

test("a ticket that ends while nobody listens is an error", { timeout: 60_000 }, async () => {
  const instant = site.instant();
  const call = instant.rpc("report");
  await subscribed();
  site.centrifugo.methods.set("instant.ticket", () => {
    throw new Refusal(404, "there is no such ticket");
  });
  const failed = expect(call).rejects.toMatchObject({ name: "RpcError", code: 404, method: "instant.ticket" });
  site.centrifugo.forget();
  site.centrifugo.cut();
  await failed;
  await until(instant, "live");
  await soon(() => {
    expect(site.centrifugo.subscribed).toEqual([]);
  });
});
