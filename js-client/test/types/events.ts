/** Compiled by `npm run check`, never run: each `@ts-expect-error` must be an error there. */
import { expectTypeOf } from "vitest";

import { type Call, type Channel, type Instant, type InstantMessage, type Presence, RpcError, type Status } from "djangoinstant";
import { useChannel, useEvent, useLiveState, useRpc } from "djangoinstant/react";
import { useEvent as useSvelteEvent } from "djangoinstant/svelte";
import { useEvent as useVueEvent, useLiveState as useVueLiveState } from "djangoinstant/vue";

declare module "djangoinstant" {
  interface InstantEvents {
    shipped: { readonly order: number };
    "": { readonly note: string };
  }
}

declare const instant: Instant;
declare const order: Channel<{ readonly status: string }>;

// Payloads are typed by event class, else by channel, else unknown.
instant.channel("a").on("shipped", ({ data }) => {
  expectTypeOf(data).toEqualTypeOf<{ readonly order: number }>();
});
instant.channel("a").on("", ({ data }) => data.note);
instant.channel("a").on("*", ({ data }) => {
  expectTypeOf(data).toBeUnknown();
});
order.on("message", (message) => {
  expectTypeOf(message).toEqualTypeOf<InstantMessage<{ readonly status: string }>>();
  expectTypeOf(message.offset).toEqualTypeOf<number | undefined>();
  expectTypeOf(message.own).toEqualTypeOf<boolean>();
});
// States.
order.state((state, message) => {
  expectTypeOf(state).toEqualTypeOf<{ readonly status: string }>();
  expectTypeOf(message).toEqualTypeOf<InstantMessage<{ readonly status: string }> | undefined>();
});
order.state<number>((state) => state.toFixed(), { reduce: (state, { data }) => state + data.status.length });
// @ts-expect-error the state is a number
order.state<number>((state: string) => state);
// @ts-expect-error reduce returns a state
order.state<number>(() => undefined, { reduce: (state, { data }) => data.status });
expectTypeOf(order.subscribed()).toEqualTypeOf<Promise<void>>();
instant.on("status", (status) => {
  expectTypeOf(status).toEqualTypeOf<Status>();
});
expectTypeOf(order.once("shipped")).resolves.toEqualTypeOf<InstantMessage<{ readonly order: number }>>();
order.onPresence((presence) => {
  expectTypeOf(presence).toEqualTypeOf<Presence>();
});
for await (const { data } of order) expectTypeOf(data).toEqualTypeOf<{ readonly status: string }>();
for await (const { data } of order.each("shipped")) expectTypeOf(data).toEqualTypeOf<{ readonly order: number }>();
void order.publish({ eventClass: "shipped", data: { order: 1 } });
void order.publish({ data: { status: "packed" } });
expectTypeOf(order.history()).resolves.toExtend<{ messages: readonly InstantMessage<{ readonly status: string }>[] }>();

expectTypeOf(order.rights).toEqualTypeOf<readonly ("publish" | "presence" | "history")[]>();
expectTypeOf(order.once("shipped", { id: "1" })).resolves.toEqualTypeOf<InstantMessage<{ readonly order: number }>>();

// Calls.
expectTypeOf(instant.rpc<{ readonly total: number }>("cart.add", { product: 7 })).resolves.toEqualTypeOf<{ readonly total: number }>();
expectTypeOf(instant.rpc("cart.add")).resolves.toBeUnknown();
const call = instant.ticket<number>("id", { timeout: 1000, signal: AbortSignal.timeout(1) }).onProgress(({ state, progress, result }) => {
  expectTypeOf(state).toEqualTypeOf<"queued" | "running" | "done" | "failed" | "cancelled">();
  expectTypeOf(progress).toBeUnknown();
  expectTypeOf(result).toEqualTypeOf<number | undefined>();
});
expectTypeOf(call).toEqualTypeOf<Call<number>>();
expectTypeOf(call.ticket).resolves.toEqualTypeOf<string | undefined>();
expectTypeOf(call.cancel()).resolves.toBeVoid();
expectTypeOf(order.publish({ eventClass: "shipped", data: { order: 1 } })).resolves.toEqualTypeOf<
  InstantMessage<{ readonly order: number }> | undefined
>();
expectTypeOf<RpcError["fields"]>().toEqualTypeOf<Readonly<Record<string, string>>>();
// @ts-expect-error there is no such option
void instant.rpc("cart.add", {}, { retries: 3 });
// @ts-expect-error an error says when to try again, and nobody else
new RpcError("no").retryAfter = 3;

// Wrong names.
// @ts-expect-error there is no such event class
order.on("shiped", () => undefined);
// @ts-expect-error there is no such event class
void order.once("shiped");
// @ts-expect-error there is no such event class
order.each("shiped");
// @ts-expect-error there is no such event class
void order.publish({ eventClass: "shiped", data: { order: 1 } });
// @ts-expect-error there is no such event
instant.on("nothing", () => undefined);

// @ts-expect-error there is no such right
order.rights.includes("read");
// @ts-expect-error rights are given by Django alone
order.rights = ["publish"];
// @ts-expect-error an id is for once()
order.on("shipped", () => undefined, { id: "1" });

// Wrong payloads.
// @ts-expect-error the payload has no such field
order.on("shipped", ({ data }) => String(data.price));
// @ts-expect-error the channel's payload has no such field
order.on("*", ({ data }) => String(data.order));
// @ts-expect-error the event's payload is another
void order.publish({ eventClass: "shipped", data: { status: "packed" } });
// @ts-expect-error a number is no text
void order.publish({ eventClass: "shipped", data: { order: "1" } });
// @ts-expect-error an option that isn't there
order.on("shipped", () => undefined, { once: true });
// @ts-expect-error a status is read only
instant.status = "live";
// @ts-expect-error a status that isn't there
if (instant.status === "online") instant.disconnect();

// Hooks.
useEvent("a", "shipped", ({ data }) => {
  expectTypeOf(data).toEqualTypeOf<{ readonly order: number }>();
});
useVueEvent("a", "shipped", ({ data }) => data.order);
useSvelteEvent(() => "a", "", ({ data }) => data.note);
// @ts-expect-error there is no such event
useEvent("a", "shiped", () => undefined);
// @ts-expect-error there is no such event
useVueEvent("a", "shiped", () => undefined);
// @ts-expect-error there is no such event
useSvelteEvent("a", "shiped", () => undefined);
expectTypeOf(useChannel<{ readonly status: string }>("a").channel).toEqualTypeOf<Channel<{ readonly status: string }> | undefined>();
expectTypeOf(useLiveState<number>("a")).toEqualTypeOf<number | undefined>();
expectTypeOf(useVueLiveState<number, string>("a", { reduce: (state, { data }) => state + data.length }).value).toEqualTypeOf<number | undefined>();
expectTypeOf(useRpc<{ total: number }>("cart.add").result).toEqualTypeOf<{ total: number } | undefined>();
expectTypeOf(useRpc<{ total: number }>("cart.add").call({ product: 7 })).resolves.toEqualTypeOf<{ total: number }>();
