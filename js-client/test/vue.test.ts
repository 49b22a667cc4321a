// @vitest-environment happy-dom
/** The composables of Vue: in a page, kept alive, on the server, and in a scope without a component. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createApp, createSSRApp, defineComponent, effectScope, h, KeepAlive, nextTick, ref, Suspense, type App, type Component } from "vue";
import { renderToString } from "vue/server-renderer";

import { createFakeInstant, type FakeInstant } from "../src/testing/index.js";
import { instantPlugin, useChannel, useEvent, useLiveState, usePresence, useRpc, useStatus } from "../src/vue/index.js";

let page: FakeInstant;
let app: App | undefined;
let box: HTMLElement;

beforeEach(() => {
  page = createFakeInstant({ user: "7", states: { "order:1": { status: "new" } }, methods: { double: ({ n }: { n: number }) => n * 2 } });
  box = document.createElement("div");
  document.body.append(box);
});

afterEach(() => {
  app?.unmount();
  app = undefined;
  box.remove();
  page.instant.disconnect();
});

function show(component: Component): void {
  app = createApp(component).use(instantPlugin(page.instant));
  app.mount(box);
}

const shows = (text: string): Promise<void> => vi.waitFor(() => { expect(box.textContent).toBe(text); });
const listens = (...names: string[]): Promise<void> => vi.waitFor(() => { expect(page.subscribed).toEqual(names); });

test("a channel is listened to while it is shown, and follows its name", async () => {
  const name = ref<string | null>("order:1");
  const isShown = ref(true);
  const Order = defineComponent(() => {
    const channel = useChannel(name);
    return () => `${channel.value.status} ${channel.value.denial ?? ""}`;
  });
  show(defineComponent(() => () => (isShown.value ? [h(Order), h(Order)] : "")));
  await shows("live live ");
  await listens("order:1");
  page.denied.add("order:2");
  name.value = "order:2";
  await shows("denied refuseddenied refused");
  name.value = null;
  await shows("idle idle ");
  name.value = "order:1";
  await listens("order:1");
  isShown.value = false;
  await listens();
});

test("an event is heard once, and not in a component that is kept alive elsewhere", async () => {
  const heard: unknown[] = [];
  const isShown = ref(true);
  const Order = defineComponent({
    name: "Order",
    setup() {
      useEvent("order:1", "shipped", ({ data }) => { heard.push(data); });
      const state = useLiveState<{ status: string }>("order:1");
      return () => state.value?.status ?? "?";
    },
  });
  const Other = defineComponent({ name: "Other", setup: () => () => "other" });
  show(defineComponent(() => () => h(KeepAlive, () => h(isShown.value ? Order : Other))));
  await shows("new");
  page.publish("order:1", { eventClass: "shipped", data: { status: "a" } });
  await shows("a");
  expect(heard).toEqual([{ status: "a" }]);
  isShown.value = false;
  await shows("other");
  await listens();
  page.publish("order:1", { eventClass: "shipped", data: { status: "b" } });
  page.states["order:1"] = { status: "b" };
  isShown.value = true;
  await nextTick();
  // What it had, until the state is there.
  expect(box.textContent).toBe("a");
  await shows("b");
  await listens("order:1");
  page.publish("order:1", { eventClass: "shipped", data: { status: "c" } });
  await shows("c");
  expect(heard).toEqual([{ status: "a" }, { status: "c" }]);
});

test("an async component begins when it is shown", async () => {
  let resolve: (() => void) | undefined;
  const Slow = defineComponent({
    async setup() {
      const state = useLiveState<{ status: string; moves?: number }>("order:1", {
        reduce: (old, { data }) => ({ ...data, moves: (old.moves ?? 0) + 1 }),
      });
      await new Promise<void>((done) => { resolve = done; });
      return () => `${state.value?.status ?? "?"} ${String(state.value?.moves ?? 0)}`;
    },
  });
  show(defineComponent(() => () => h(Suspense, null, { default: () => h(Slow), fallback: () => "waiting" })));
  await shows("waiting");
  expect(page.subscribed).toEqual([]);
  resolve?.();
  await shows("new 0");
  page.publish("order:1", { data: { status: "packed" } });
  await shows("packed 1");
});

test("who is there, the connection, and calls", async () => {
  let press: (() => unknown) | undefined;
  show(
    defineComponent(() => {
      const [status, people] = [useStatus(), usePresence("room")];
      const { state, call } = useRpc<number>("double");
      press = () => call({ n: 21 }).catch(() => undefined);
      return () => {
        const { result, error, isPending } = state.value;
        return `${status.value} ${people.value.map(({ user }) => user).join()} ${isPending ? "…" : ""}${String(result)}${error ? " error" : ""}`;
      };
    }),
  );
  await shows("live 7 undefined");
  press?.();
  await nextTick();
  expect(box.textContent).toBe("live 7 …undefined");
  await shows("live 7 42");
  page.methods["double"] = undefined as never;
  press?.();
  await shows("live 7 undefined error");
});

test("the server renders without a connection, and the browser takes it over", async () => {
  const warned = vi.spyOn(console, "warn");
  const Whole = defineComponent(() => {
    useEvent("order:1", "*", () => undefined);
    const state = useLiveState<{ status: string }>("order:1", { initial: { status: "sent" } });
    const [status, channel, people] = [useStatus(), useChannel("order:1"), usePresence("order:1")];
    return () => h("p", `${status.value} ${channel.value.status} ${String(people.value.length)} ${state.value?.status ?? ""}`);
  });
  const use = instantPlugin(page.instant);
  expect(await renderToString(createSSRApp(Whole))).toBe("<p>idle idle 0 sent</p>");
  box.innerHTML = await renderToString(createSSRApp(Whole).use(use));
  expect(page.instant.status).toBe("idle");
  app = createSSRApp(Whole).use(use);
  app.mount(box);
  await shows("live live 1 new");
  expect(warned).not.toHaveBeenCalled();
  warned.mockRestore();
});

test("a scope without a component takes the page's connection, and ends with the scope", async () => {
  (globalThis as { instant?: unknown }).instant = page.instant;
  try {
    const scope = effectScope();
    const status = scope.run(() => useChannel("order:1"));
    await vi.waitFor(() => { expect(status?.value.status).toBe("live"); });
    scope.stop();
    await listens();
  } finally {
    delete (globalThis as { instant?: unknown }).instant;
  }
});
