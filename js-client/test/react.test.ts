// @vitest-environment happy-dom
/** The hooks of React, in StrictMode, which mounts each component twice. `npm run test:react18` runs this with React 18. */
import { Component, createElement as h, StrictMode, Suspense, useState, version, type ReactNode } from "react";
import { createRoot, hydrateRoot, type Root } from "react-dom/client";
import { renderToString } from "react-dom/server";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { InstantContext, useChannel, useEvent, useLiveState, usePresence, useRpc, useStatus } from "../src/react/index.js";
import { createFakeInstant, type FakeInstant } from "../src/testing/index.js";

let page: FakeInstant;
let root: Root | undefined;
let box: HTMLElement;

beforeEach(() => {
  page = createFakeInstant({ user: "7", states: { "order:1": { status: "new" } } });
  box = document.createElement("div");
  document.body.append(box);
});

afterEach(() => {
  root?.unmount();
  root = undefined;
  box.remove();
  page.instant.disconnect();
});

const within = (...children: ReactNode[]): ReactNode =>
  // React 19 takes the context itself, too.
  h(StrictMode, null, h(InstantContext.Provider, { value: page.instant }, ...children));

function show(...children: ReactNode[]): void {
  (root ??= createRoot(box)).render(within(...children));
}

const shows = (text: string): Promise<void> => vi.waitFor(() => { expect(box.textContent).toBe(text); });

function Order({ name }: { readonly name: string | null }): ReactNode {
  const { status, denial } = useChannel(name);
  return `${name ?? "none"}:${status}${denial ? `:${denial}` : ""} `;
}

test("a channel is listened to while it is shown, once, and follows its name", async () => {
  show(h(Order, { name: "order:1" }), h(Order, { name: "order:1" }));
  await shows("order:1:live order:1:live ");
  expect(page.subscribed).toEqual(["order:1"]);
  page.denied.add("order:2");
  show(h(Order, { name: "order:2" }), h(Order, { name: null }));
  await shows("order:2:denied:refused none:idle ");
  show();
  await vi.waitFor(() => { expect(page.subscribed).toEqual([]); });
});

test("an event is heard once, by the listener of the newest render", async () => {
  const heard: string[] = [];
  function Counter({ label }: { readonly label: string }): ReactNode {
    useEvent("order:1", "shipped", ({ data }) => { heard.push(`${label}${String(data)}`); });
    return label;
  }
  show(h(Counter, { label: "a" }));
  await page.joined("order:1");
  page.publish("order:1", { eventClass: "shipped", data: 1 });
  await vi.waitFor(() => { expect(heard).toEqual(["a1"]); });
  const opened = page.subscribed;
  show(h(Counter, { label: "b" }));
  await shows("b");
  page.publish("order:1", { eventClass: "packed", data: 2 });
  page.publish("order:1", { eventClass: "shipped", data: 3 });
  await vi.waitFor(() => { expect(heard).toEqual(["a1", "b3"]); });
  expect(page.subscribed).toEqual(opened);
});

test("a page's own messages can be left out", async () => {
  const heard: unknown[] = [];
  function Chat(): ReactNode {
    useEvent("chat", "*", ({ data }) => { heard.push(data); }, { own: false });
    return null;
  }
  show(h(Chat));
  await page.joined("chat");
  page.publish("chat", { data: "mine", tab: page.instant.tab });
  page.publish("chat", { data: "theirs" });
  await vi.waitFor(() => { expect(heard).toEqual(["theirs"]); });
});

test("the state is live, goes through the newest reduce, and is kept behind Suspense", async () => {
  let resolve: (() => void) | undefined;
  let isResolved = false;
  const waiting = new Promise<void>((done) => { resolve = done; }).then(() => { isResolved = true; });
  let suspend: (() => void) | undefined;
  let grow: (() => void) | undefined;
  function Status(): ReactNode {
    const [by, setBy] = useState(1);
    grow = () => { setBy(10); };
    const state = useLiveState<{ status: string; moves?: number }, { status: string }>("order:1", {
      reduce: (old, { data }) => ({ ...data, moves: (old.moves ?? 0) + by }),
    });
    return `${state?.status ?? "?"} ${String(state?.moves ?? 0)} +${String(by)}`;
  }
  function Slow(): ReactNode {
    const [number, set] = useState(0);
    suspend = () => { set(number + 1); };
    // eslint-disable-next-line @typescript-eslint/only-throw-error -- as use() does, which React 18 hasn't got
    if (number && !isResolved) throw waiting;
    return null;
  }
  show(h(Suspense, { fallback: "waiting" }, h(Status), h(Slow)));
  await shows("new 0 +1");
  page.publish("order:1", { data: { status: "packed" } });
  await shows("packed 1 +1");
  grow?.();
  await shows("packed 1 +10");
  page.publish("order:1", { data: { status: "shipped" } });
  await shows("shipped 11 +10");
  // What comes back listens anew in StrictMode, and is told what Django has by now.
  page.states["order:1"] = { status: "shipped", moves: 12 };
  suspend?.();
  await vi.waitFor(() => { expect(box.textContent).toContain("waiting"); });
  resolve?.();
  await vi.waitFor(() => { expect(box.textContent).toMatch(/^shipped 1[12] \+10$/); });
  await shows("shipped 12 +10");
});

test("who is there, and the connection", async () => {
  function People(): ReactNode {
    return `${useStatus()} ${usePresence("room").map(({ user }) => user).join()}`;
  }
  show(h(People));
  await shows("live 7");
  page.signOut();
  await shows("signed-out 7");
});

test("a call of another method than the one that is shown tells nothing", async () => {
  const answers: Record<string, (value: string) => void> = {};
  for (const name of ["old", "new"]) page.methods[name] = () => new Promise((resolve) => { answers[name] = resolve; });
  function Caller({ method }: { readonly method: string }): ReactNode {
    const { call, result, isPending } = useRpc<string>(method);
    return [h("button", { key: 1, onClick: () => { void call(); } }), `${isPending ? "…" : ""}${String(result)}`];
  }
  const press = (): void => { box.querySelector("button")?.click(); };
  show(h(Caller, { method: "old" }));
  await shows("undefined");
  press();
  await shows("…undefined");
  await vi.waitFor(() => { expect(answers["old"]).toBeDefined(); });
  show(h(Caller, { method: "new" }));
  await shows("undefined");
  press();
  await vi.waitFor(() => { expect(answers["new"]).toBeDefined(); });
  answers["new"]?.("new");
  await shows("new");
  answers["old"]?.("old");
  await new Promise((resolve) => setTimeout(resolve, 50)); // an answer arrives
  expect(box.textContent).toBe("new");
});

test("a call tells how it goes, and only the newest counts", async () => {
  const answers: ((value: number) => void)[] = [];
  let answer: ((value: number) => void) | undefined;
  page.methods["double"] = () => new Promise((resolve) => { answer = resolve; });
  page.methods["slow"] = () => new Promise((resolve) => answers.push(resolve));
  function Calculator(): ReactNode {
    const { call, result, error, isPending } = useRpc<number>("double");
    const slow = useRpc<number>("slow");
    return [
      h("button", { key: 1, onClick: () => { void call({ n: 21 }); } }),
      h("i", { key: 2, onClick: () => void slow.call().catch(() => undefined) }),
      `${isPending ? "…" : ""}${String(result)} ${error ? "error" : ""}${String(slow.result)}`,
    ];
  }
  show(h(Calculator));
  const press = (selector: string): void => { box.querySelector<HTMLElement>(selector)?.click(); };
  await shows("undefined undefined");
  press("button");
  await shows("…undefined undefined");
  await vi.waitFor(() => { expect(answer).toBeDefined(); });
  answer?.(42);
  await shows("42 undefined");
  press("i");
  press("i");
  await vi.waitFor(() => { expect(answers).toHaveLength(2); });
  answers[1]?.(2);
  answers[0]?.(1);
  await shows("42 2");
  page.methods["double"] = undefined as never;
  press("button");
  await shows("undefined error2");
});

test("the server renders without a connection, and the browser takes it over", async () => {
  const warned = vi.spyOn(console, "error");
  function Whole(): ReactNode {
    useEvent("order:1", "*", () => undefined);
    const state = useLiveState<{ status: string }>("order:1", { initial: { status: "sent" } });
    const { call } = useRpc("double");
    return `${useStatus()} ${useChannel("order:1").status} ${String(usePresence("order:1").length)} ${state?.status ?? ""} ${typeof call}`;
  }
  const nobodyElse = h(StrictMode, null, h(Whole));
  expect(renderToString(nobodyElse)).toBe("idle idle 0 sent function");
  box.innerHTML = renderToString(within(h(Whole)));
  expect(page.instant.status).toBe("idle");
  root = hydrateRoot(box, within(h(Whole)));
  await shows("live live 1 new function");
  expect(warned).not.toHaveBeenCalled();
  warned.mockRestore();
});

// In development React 18 throws it through a DOM event, which here ends the process, and in a browser doesn't.
const { INSTANT_REACT: other, NODE_ENV: mode } = process.env;
test.skipIf(other && mode !== "production")("without a connection a component says so", async () => {
  class Boundary extends Component<{ readonly children: ReactNode }, { readonly said?: string }> {
    override state: { readonly said?: string } = {};
    static getDerivedStateFromError(error: unknown): { readonly said: string } {
      return { said: String(error) };
    }
    override render(): ReactNode {
      return this.state.said ?? this.props.children;
    }
  }
  const reported = vi.spyOn(console, "error").mockImplementation(() => undefined);
  root = createRoot(box);
  root.render(h(Boundary, null, h(Order, { name: "order:1" })));
  await vi.waitFor(() => { expect(box.textContent).toContain("No Instant"); });
  reported.mockRestore();
});

test("the React is the one that was asked for", () => {
  expect(version.split(".")[0]).toBe(other ? "18" : "19");
});
