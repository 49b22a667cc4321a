/** Requests, which responders in Python answer. */
import { expect, test } from "vitest";

import { sign } from "./fake-centrifugo.js";
import { soon, useSite } from "./site.js";

const site = useSite();
const CHANNEL = "ticket:t1";

/** What Django knows of the ticket. */
let row: object;

/** Lets the server answer with a ticket; returns what it was asked. */
function answerWithTicket(): unknown[] {
  const asked: unknown[] = [];
  row = { id: "t1", state: "queued" };
  site.centrifugo.methods.set("instant.request", (data) => {
    asked.push(data);
    return { "instant:ticket": { id: "t1", ...grant() } };
  });
  site.centrifugo.methods.set("instant.ticket", () => ({ ...grant(), ticket: row }));
  return asked;
}

function grant(): object {
  const exp = Math.ceil(Date.now() / 1000) + 30;
  const token = sign({ sub: "", channel: CHANNEL, exp, expire_at: exp + 3600, serial: 1e9 });
  return { channel: CHANNEL, token, exp };
}

function change(state: object): void {
  row = { id: "t1", ...state };
  site.centrifugo.publish(CHANNEL, { event_class: "instant:ticket", data: row });
}

test("a request is the promise of its answer, with progress", async () => {
  const asked = answerWithTicket();
  const told: unknown[] = [];
  const request = site.instant().request<{ y: number }>("predict", { x: 1 }, { within: 60 });
  void request.onProgress(({ progress }) => told.push(progress));
  expect(await request.ticket).toBe("t1");
  await soon(() => {
    expect(site.centrifugo.subscribed).toEqual([CHANNEL]);
  });
  change({ state: "running", progress: 0.5 });
  await soon(() => {
    expect(told).toContain(0.5);
  });
  change({ state: "done", result: { y: 2 } });
  expect(await request).toEqual({ y: 2 });
  expect(asked).toEqual([{ name: "predict", data: { x: 1 }, timeout: 60 }]);
});

test("Django is told that the answer was seen, and need not keep it", async () => {
  const told: unknown[] = [];
  answerWithTicket();
  const answer = site.centrifugo.methods.get("instant.ticket");
  site.centrifugo.methods.set("instant.ticket", (data) => {
    told.push(data);
    return answer?.(data);
  });
  const request = site.instant().request("predict");
  await request.ticket;
  await soon(() => {
    expect(site.centrifugo.subscribed).toEqual([CHANNEL]);
  });
  change({ state: "done", result: 1 });
  await request;
  await soon(() => {
    expect(told).toContainEqual({ id: "t1", seen: true });
  });
});

test("a channel asks the responder of its name", async () => {
  const asked = answerWithTicket();
  const instant = site.instant();
  await instant.channel("$predict").request({ x: 1 }).ticket;
  await instant.channel("predict").request().ticket;
  expect(asked).toEqual([
    { name: "predict", data: { x: 1 } },
    { name: "predict" },
  ]);
});

test("a request that nobody answers in time rejects", async () => {
  answerWithTicket();
  const request = site.instant().request("predict", {}, { within: 1 });
  await request.ticket;
  await soon(() => {
    expect(site.centrifugo.subscribed).toEqual([CHANNEL]);
  });
  change({ state: "failed", error: { code: 504, message: "nobody answered in time" } });
  await expect(request).rejects.toMatchObject({ code: 504 });
});
