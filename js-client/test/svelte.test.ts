// @vitest-environment happy-dom
/** The hooks of Svelte 5: in runes and as stores, in a page and on the server. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { createFakeInstant, type FakeInstant } from "../src/testing/index.js";
import { bundled } from "./svelte-bundle.js";

interface Client {
  readonly component: unknown;
  readonly mount: (component: unknown, options: { target: Element; props: object }) => Record<string, () => unknown>;
  readonly unmount: (mounted: object) => Promise<void>;
  readonly flushSync: () => void;
}
interface Server {
  readonly component: unknown;
  readonly render: (component: unknown, options: { props: object }) => { readonly body: string };
}

let page: FakeInstant;
let box: HTMLElement;
let end: (() => Promise<void>) | undefined;

beforeEach(() => {
  page = createFakeInstant({ user: "7", states: { "order:1": { status: "new" } }});
  box = document.createElement("div");
  document.body.append(box);
});

afterEach(async () => {
  await end?.();
  end = undefined;
  box.remove();
  page.instant.disconnect();
});

async function show(source: string, props: object = {}): Promise<Record<string, () => unknown>> {
  const { component, mount, unmount, flushSync } = await bundled<Client>(source, "client");
  const mounted = mount(component, { target: box, props: { instant: page.instant, ...props } });
  flushSync();
  end = () => unmount(mounted);
  return mounted;
}

const shows = (text: string): Promise<void> =>
  vi.waitFor(() => { expect(box.textContent.replace(/\s+/g, " ").trim()).toBe(text); });
const listens = (...names: string[]): Promise<void> => vi.waitFor(() => { expect(page.subscribed).toEqual(names); });

const BEGIN = `
  import { setInstant, useChannel, useEvent, useLiveState, usePresence, useRpc, useStatus } from "djangoinstant/svelte";
  let { instant, heard = [] } = $props();
  if (instant) setInstant(instant);
`;

test("a channel is listened to while it is shown, and follows its name", async () => {
  page.denied.add("order:2");
  const { set, hide } = await show(`<script>${BEGIN}
    let name = $state("order:1");
    let isShown = $state(true);
    const order = useChannel(() => name);
    export const set = () => { name = name === "order:1" ? "order:2" : null; };
    export const hide = () => { name = "order:1"; isShown = false; };
  </script>
  {#if isShown}{order.current.status} {order.current.denial} {order.current.status}{/if}`);
  await shows("live live");
  await listens("order:1");
  set?.();
  await shows("denied refused denied");
  set?.();
  await shows("idle idle");
  await listens();
  hide?.();
  await shows("");
  await listens();
});

test("an event is heard once, follows the name, and ends with the component", async () => {
  const heard: unknown[] = [];
  const { set } = await show(
    `<script>${BEGIN}
    let name = $state("order:1");
    export const set = () => { name = "order:2"; };
    useEvent(() => name, "shipped", ({ channel, data }) => { heard.push(channel + data); });
  </script>`,
    { heard },
  );
  await page.joined("order:1");
  page.publish("order:1", { eventClass: "shipped", data: 1 });
  page.publish("order:1", { eventClass: "packed", data: 2 });
  await vi.waitFor(() => { expect(heard).toEqual(["order:11"]); });
  set?.();
  await listens("order:2");
  page.publish("order:2", { eventClass: "shipped", data: 3 });
  await vi.waitFor(() => { expect(heard).toEqual(["order:11", "order:23"]); });
  await end?.();
  end = undefined;
  await listens();
});

test("as stores: the state, who is there, the connection", async () => {
  await show(`<script>${BEGIN}
    const [state, people, status] = [useLiveState("order:1"), usePresence("room"), useStatus()];
  </script>
  {$status} {$people.map(({ user }) => user).join()} {$state?.status}`);
  await shows("live 7 new");
  page.publish("order:1", { data: { status: "packed" } });
  await shows("live 7 packed");
  await end?.();
  end = undefined;
  await listens();
});

test("calls, and a state that is reduced", async () => {
  const { press } = await show(`<script>${BEGIN}
    const moves = useLiveState("order:1", { reduce: (old, { data }) => ({ ...data, moves: (old.moves ?? 0) + 1 }) });
    const double = useRpc("double");
    export const press = () => double.call({ n: 21 }).catch(() => undefined);
  </script>
  {moves.current?.status} {moves.current?.moves} {double.current.isPending ? "…" : ""}{double.current.result}{double.current.error ? "error" : ""} {$double.result}`);
  let answer: ((value: number) => void) | undefined;
  page.methods["double"] = () => new Promise((resolve) => { answer = resolve; });
  await shows("new");
  press?.();
  await shows("new …");
  await vi.waitFor(() => { expect(answer).toBeDefined(); });
  answer?.(42);
  await shows("new 42 42");
  page.publish("order:1", { data: { status: "packed" } });
  await shows("packed 1 42 42");
  page.methods["double"] = undefined as never;
  press?.();
  await shows("packed 1 error");
});

test("the server renders without a connection", async () => {
  const source = `<script>${BEGIN}
    useEvent("order:1", "*", () => undefined);
    const state = useLiveState("order:1", { initial: { status: "sent" } });
    const [status, channel, people] = [useStatus(), useChannel("order:1"), usePresence("order:1")];
    const rpc = useRpc("double");
  </script>
  {status.current} {$status} {channel.current.status} {$people.length} {$state.status} {typeof rpc.call}`;
  const { component, render } = await bundled<Server>(source, "server");
  const text = (props: object): string => render(component, { props }).body.replace(/<!--.*?-->/g, "").trim();
  expect(text({})).toBe("idle idle idle 0 sent function");
  expect(text({ instant: page.instant })).toBe("idle idle idle 0 sent function");
  expect(page.instant.status).toBe("idle");
});
