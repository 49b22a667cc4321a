/** Calls of methods that Python answers. */
import { describe, expect, test } from "vitest";

import type { InstantOptions } from "../src/options.js";
import type { CallOptions } from "../src/types.js";
import type { Answer } from "./fake-django.js";
import { Refusal } from "./fake-centrifugo.js";
import { soon, until, useSite } from "./site.js";

const site = useSite();
const rpcs = (): unknown[] => site.centrifugo.received.filter(({ name }) => name === "rpc").map(({ params }) => params);

/** A method that does not answer before it is told to. */
function slow(name: string): { answer: (value: unknown) => void } {
  const answers: ((value: unknown) => void)[] = [];
  site.centrifugo.methods.set(name, () => new Promise((resolve) => answers.push(resolve)));
  return { answer: (value) => answers.shift()?.(value) };
}

async function called(times: number): Promise<void> {
  await soon(() => {
    expect(rpcs()).toHaveLength(times);
  });
}

test("a call connects the page, and resolves with the result", async () => {
  const instant = site.instant();
  site.centrifugo.methods.set("cart.add", (data) => ({ total: (data as { product: number }).product * 2 }));
  const call = instant.rpc<{ total: number }>("cart.add", { product: 7 });
  expect(await call).toEqual({ total: 14 });
  expect(await call.ticket).toBeUndefined();
  await call.cancel();
  expect(rpcs()).toEqual([{ method: "cart.add", data: { product: 7 } }]);
  site.centrifugo.methods.set("ping", () => null);
  expect(await instant.rpc("ping").onProgress(() => expect.unreachable())).toBeNull();
  expect(rpcs().at(-1)).toEqual({ method: "ping", data: {} });
});

test("calls of one task are one request to Django, and answered as they are done", async () => {
  const instant = site.instant();
  const { answer } = slow("slow");
  site.centrifugo.methods.set("fast", () => "fast");
  const done: unknown[] = [];
  instant.channel("public").on("*", () => undefined);
  const calls = ["slow", "fast"].map((name) => instant.rpc(name).then((value) => done.push(value)));
  await soon(() => {
    expect(done).toEqual(["fast"]);
  });
  answer("slow");
  await Promise.all(calls);
  expect(done).toEqual(["fast", "slow"]);
  expect(site.django.views()).toEqual(["get_token"]);
});

describe("what is refused", () => {
  async function refused(error: Refusal, options?: CallOptions): Promise<Record<string, unknown>> {
    site.centrifugo.methods.set("it", () => {
      throw error;
    });
    return site.instant().rpc("it", {}, options).then(
      () => expect.unreachable(),
      (reason: unknown) => reason as Record<string, unknown>,
    );
  }

  test.each([
    [new Refusal(401, "log in first"), {}],
    [new Refusal(403, "permission denied"), {}],
    [new Refusal(409, "out of stock"), {}],
    [new Refusal(500, "internal error"), {}],
    [new Refusal(503, "not available", true), { temporary: true }],
    [new Refusal(429, "too many calls; try again in 37 s", true), { temporary: true, retryAfter: 37 }],
    [new Refusal(429, "slow down", true), { temporary: true }],
    // Who says so with another code means something else.
    [new Refusal(503, "try again in 5 s", true), { temporary: true }],
    [
      new Refusal(422, "product: Input should be 7; lines.0.quantity: is: not; expected; note: Field required; and 3 more"),
      { fields: { product: "Input should be 7", "lines.0.quantity": "is: not; expected", note: "Field required" } },
    ],
    [new Refusal(422, "nothing that has a field"), {}],
  ])("%s", async (error, more) => {
    const { code, message } = error;
    const found = await refused(error);
    expect(found).toMatchObject({ name: "RpcError", method: "it", code, message });
    const { temporary, retryAfter, fields } = found;
    expect({ temporary, retryAfter, fields }).toEqual({ temporary: false, retryAfter: undefined, fields: {}, ...more });
  });

  test("a method that nobody answers", async () => {
    const call = site.instant().rpc("nothing");
    await expect(call).rejects.toMatchObject({ code: 404, message: "there is no such method", temporary: false });
    expect(await call.ticket).toBeUndefined();
  });
});

describe("a call that can't be sent now", () => {
  test("waits for the connection", async () => {
    site.centrifugo.refuses = true;
    site.centrifugo.methods.set("late", () => "done");
    const instant = site.instant();
    const call = instant.rpc("late");
    await until(instant, "offline");
    site.centrifugo.refuses = false;
    expect(await call).toBe("done");
  });

  test("is not sent as another user, who has logged in meanwhile", async () => {
    site.django.user = "anna";
    for (const user of ["anna", "otto"]) site.django.rights.set(user, ["public"]);
    site.centrifugo.methods.set("pay", () => "paid");
    const instant = site.instant();
    await instant.connect();
    let open = (): void => undefined;
    site.django.gate = new Promise((resolve) => (open = resolve));
    site.django.user = "otto"; // in another tab
    site.centrifugo.cut();
    await until(instant, "connecting");
    const calls = [instant.rpc("pay"), instant.rpc("pay", {}, { once: true })];
    const failures = calls.map((call) => call.catch((error: unknown) => error));
    open();
    await until(instant, "live");
    expect(site.centrifugo.users).toEqual(["otto"]);
    for (const failure of failures) expect(await failure).toMatchObject({ name: "SupersededError" });
    expect(rpcs()).toEqual([]);
    expect(await instant.rpc("pay")).toBe("paid");
  });

  test("is given up after its time", async () => {
    site.centrifugo.refuses = true;
    const started = Date.now();
    const call = site.instant().rpc("late", {}, { timeout: 100 });
    await expect(call).rejects.toMatchObject({ name: "RpcError", code: 1, message: "timeout", temporary: true });
    expect(Date.now() - started).toBeLessThan(5000);
  });

  test("rejects on a page that is signed out, was stopped, or disconnects", async () => {
    const instant = site.instant();
    site.django.rights.clear();
    await expect(instant.rpc("x")).rejects.toMatchObject({ code: 401, message: "signed-out", temporary: false });
    site.django.rights.set("", ["public"]);
    const other = site.instant();
    await other.connect();
    site.centrifugo.cut(4501);
    await until(other, "stopped");
    await expect(other.rpc("x")).rejects.toMatchObject({ code: 3, message: "stopped", temporary: false });
    site.centrifugo.refuses = true;
    const third = site.instant();
    const call = third.rpc("x");
    await until(third, "offline");
    third.disconnect();
    await expect(call).rejects.toMatchObject({ code: 3, message: "idle", temporary: true });
  });

  test("is refused if it is too large", async () => {
    const instant = site.instant({ sizeLimit: 300 });
    await expect(instant.rpc("x", { text: "x".repeat(300) })).rejects.toMatchObject({ code: 413, temporary: false });
    expect(rpcs()).toEqual([]);
  });
});

test("a method has as long as the call, not as the steps of the connection", async () => {
  const instant = site.instant({ timeout: 150 });
  await instant.connect();
  const { answer } = slow("slow");
  const call = instant.rpc("slow");
  await called(1);
  await new Promise((resolve) => setTimeout(resolve, 400));
  answer("done");
  expect(await call).toBe("done");
  // The others have what they had.
  await expect(instant.rpc("slow", {}, { timeout: 50 })).rejects.toMatchObject({ code: 1 });
});

describe("a connection that breaks before the answer", () => {
  test("rejects as temporary", async () => {
    const instant = site.instant();
    slow("slow");
    const call = instant.rpc("slow");
    await called(1);
    site.centrifugo.cut();
    await expect(call).rejects.toMatchObject({ name: "RpcError", code: 11, temporary: true });
    await until(instant, "live");
    expect(rpcs()).toHaveLength(1);
  });

  test("with once, the call is sent again with the same id", async () => {
    const instant = site.instant();
    const { answer } = slow("pay");
    const call = instant.rpc("pay", { order: 7 }, { once: true });
    for (let times = 1; times < 3; times += 1) {
      await called(times);
      site.centrifugo.cut();
      answer("nobody hears it");
    }
    await called(3);
    answer("paid");
    expect(await call).toBe("paid");
    const [first, ...others] = rpcs() as { data: Record<string, unknown> }[];
    expect(first?.data).toEqual({ order: 7, "instant:id": expect.stringMatching(/^[-\w]{1,64}$/) as string });
    for (const other of others) expect(other).toEqual(first);
  });

  test("but not as another user, nor after disconnect()", async () => {
    const instant = site.instant();
    site.django.rights.set("anna", ["public"]);
    slow("pay");
    const call = instant.rpc("pay", {}, { once: true });
    await called(1);
    await instant.login("anna", "secret-of-anna");
    await expect(call).rejects.toMatchObject({ name: "SupersededError" });
    const second = instant.rpc("pay", {}, { once: true });
    await called(2);
    instant.disconnect();
    await expect(second).rejects.toMatchObject({ code: 3, message: "idle" });
    expect(rpcs()).toHaveLength(2);
  });
});

describe("options", () => {
  test("id names the call", async () => {
    site.centrifugo.methods.set("pay", () => "paid");
    const instant = site.instant();
    await instant.rpc("pay", { order: 7 }, { id: "order-7" });
    expect(rpcs()).toEqual([{ method: "pay", data: { order: 7, "instant:id": "order-7" } }]);
    await expect(instant.rpc("pay", [7], { id: "order-7" })).rejects.toThrow(TypeError);
    expect(await instant.rpc("pay", [7])).toBe("paid");
  });

  test("signal aborts before, while it waits, and while Python works", async () => {
    const instant = site.instant();
    const reason = new Error("left");
    const controller = new AbortController();
    const { signal } = controller;
    site.centrifugo.refuses = true;
    const waiting = instant.rpc("slow", {}, { signal });
    await until(instant, "offline");
    controller.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    await expect(instant.rpc("slow", {}, { signal })).rejects.toBe(reason);
    site.centrifugo.refuses = false;
    await until(instant, "live");
    expect(rpcs()).toEqual([]);
    const { answer } = slow("slow");
    const other = new AbortController();
    const working = instant.rpc("slow", {}, { signal: other.signal, once: true });
    await called(1);
    other.abort(reason);
    await expect(working).rejects.toBe(reason);
    // The answer is ignored, and the connection goes on.
    answer("too late");
    site.centrifugo.methods.set("ping", () => "pong");
    expect(await instant.rpc("ping")).toBe("pong");
  });
});

test("a method of a pool has its name before it, the closest one", async () => {
  site.django.pools = { "report.*": "heavy", "report.quick": "", "*": "all", "re*": "re", "a+": "x" };
  const names = ["report.build", "report.quick", "report", "x", "a+", "aa"];
  const wire = ["heavy:report.build", "report.quick", "re:report", "all:x", "x:a+", "all:aa"];
  for (const name of wire) site.centrifugo.methods.set(name, () => name);
  const instant = site.instant();
  expect(await Promise.all(names.map((name) => instant.rpc(name)))).toEqual(wire);
});

describe("where the page can't connect", () => {
  const gateway = (): InstantOptions => ({ urls: { rpc: `${site.django.url}/instant/rpc/` } });
  const ok = (data: unknown): Answer => ({ status: 200, body: { data } });

  test("the gateway answers, if the page knows one", async () => {
    site.centrifugo.refuses = true;
    site.django.methods.set("cart.add", (data) => ok({ got: data }));
    const instant = site.instant(gateway());
    expect(await instant.rpc("cart.add", { product: 7 }, { id: "a" })).toEqual({ got: { product: 7, "instant:id": "a" } });
    expect(site.django.seen.at(-1)).toMatchObject({ view: "rpc/cart.add", tab: instant.tab });
    site.centrifugo.refuses = false;
    site.centrifugo.methods.set("cart.add", () => "by the socket");
    await until(instant, "live");
    expect(await instant.rpc("cart.add")).toBe("by the socket");
    // Also for what is too large for the socket.
    site.django.methods.set("cart.add", () => ok("by the gateway"));
    expect(await instant.rpc("cart.add", { text: "x".repeat(70_000) })).toBe("by the gateway");
  });

  test.each(["../logout", "..", "x?y", "x#y", "x/../../logout"])("a method is no path: %s", async (method) => {
    site.centrifugo.refuses = true;
    await expect(site.instant(gateway()).rpc(method)).rejects.toMatchObject({ name: "RpcError", code: 404 });
    expect(new Set(site.django.views())).toEqual(new Set(["get_token"]));
  });

  test("also on a page that was stopped", async () => {
    const instant = site.instant(gateway());
    await instant.connect();
    site.centrifugo.cut(4501);
    await until(instant, "stopped");
    site.django.methods.set("x", () => ok(1));
    expect(await instant.rpc("x")).toBe(1);
  });

  test("a page without one waits", async () => {
    site.centrifugo.refuses = true;
    const instant = site.instant();
    await expect(instant.rpc("x", {}, { timeout: 200 })).rejects.toMatchObject({ code: 1 });
    expect(site.django.views().filter((view) => view.startsWith("rpc"))).toEqual([]);
  });

  test.each([
    [{ status: 404, body: { error: "there is no such method", code: 404 } }, { code: 404, temporary: false }],
    [{ status: 401, body: { error: "log in first", code: 401 } }, { code: 401, temporary: false }],
    [{ status: 409, body: { error: "out of stock", code: 1409 } }, { code: 1409, temporary: false, message: "out of stock" }],
    [
      { status: 422, body: { error: "product: no", code: 422, fields: { product: "no", "a b": "c" } } },
      { code: 422, fields: { product: "no", "a b": "c" } },
    ],
    [
      { status: 429, headers: { "Retry-After": "12" }, body: { error: "too many calls; try again in 12 s", code: 429 } },
      { code: 429, retryAfter: 12, temporary: true },
    ],
    [{ status: 502, body: "<h1>Bad gateway</h1>" }, { code: 502, temporary: true, message: "unexpected answer with status 502" }],
  ] as [Answer, object][])("its refusals: %j", async (answer, expected) => {
    site.centrifugo.refuses = true;
    site.django.methods.set("x", () => answer);
    const call = site.instant(gateway()).rpc("x");
    await expect(call).rejects.toMatchObject({ name: "RpcError", method: "x", ...expected });
  });

  test("a request without an answer is temporary, and sent again with once", async () => {
    site.centrifugo.refuses = true;
    let failures = 0;
    const instant = site.instant({
      ...gateway(),
      fetch: (url, init) => {
        if (!(url as string).includes("/rpc/") || failures === 2) return fetch(url, init);
        failures += 1;
        return Promise.reject(new TypeError("no network"));
      },
    });
    site.django.methods.set("x", () => ok("done"));
    await expect(instant.rpc("x")).rejects.toMatchObject({ code: 11, temporary: true });
    expect(await instant.rpc("x", {}, { once: true })).toBe("done");
    expect(failures).toBe(2);
  });
});
