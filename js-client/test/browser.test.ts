/** The committed script, run as in a page. */
import { runInContext } from "node:vm";

import { expect, test } from "vitest";

import { Refusal } from "./fake-centrifugo.js";
import { soon, useSite } from "./site.js";
import { Channel, Locks } from "./tabs.js";
import { openWindow, pageConfig } from "./window.js";

const site = useSite();
const run = (dataset: Record<string, string>, before?: object): Record<string, unknown> =>
  openWindow(site.django.url, dataset, before);
const urls = (): object => (JSON.parse(pageConfig(site.django.url)) as { urls: object }).urls;
const config = (): Record<string, string> => ({ instant: pageConfig(site.django.url) });

test("without data-instant the page gets the functions only", () => {
  const window = run({});
  expect(Object.keys(window["$instant"] as object)).toEqual(["useInstant", "createInstant"]);
  expect(window["instant"]).toBeUndefined();
  expect(window["calls"]).toEqual([]);
});

test("with data-instant the page gets a connection, which sends nothing until it is used", async () => {
  const window = run(config());
  expect(window["calls"]).toEqual([]);
  const texts: string[] = [];
  window["add"] = (text: string) => texts.push(text);
  runInContext(`instant.channel("public").on("*", ({ message }) => add(message))`, window);
  await soon(() => {
    expect(site.centrifugo.subscribed).toEqual(["public"]);
  });
  site.centrifugo.publish("public", { message: "from the script" });
  await soon(() => {
    expect(texts).toEqual(["from the script"]);
  });
  expect(window["calls"]).toEqual(["fetch"]);
  runInContext("instant.disconnect()", window);
});

test("the example in the documentation of django-instant 4 works", async () => {
  const window = run(config());
  const texts: string[] = [];
  window["add"] = (text: string) => texts.push(text);
  await runInContext(
    `(async () => {
      const { init, connect, onMessage, getClient } = $instant.useInstant()
      window.stop = () => getClient().disconnect()
      await init()
      onMessage((msg) => add(msg.channelName + " " + msg.msg))
      await connect()
    })()`,
    window,
  );
  await soon(() => {
    expect(site.centrifugo.subscribed).toEqual(["public"]);
  });
  site.centrifugo.publish("public", { message: "hello" });
  await soon(() => {
    expect(texts).toEqual(["public hello"]);
  });
  runInContext("stop()", window);
});

test("a page that loads the script twice keeps its connection", () => {
  const [first, functions] = [{}, {}];
  const window = run(config(), { instant: first, $instant: functions });
  expect(window["instant"]).toBe(first);
  expect(window["$instant"]).toBe(functions);
});

test("<instant-status> is defined with the page's texts", () => {
  const defined = new Map<string, new () => { connectedCallback(): void; textContent: string }>();
  const texts = { "signed-out": "Abgemeldet" };
  const attributes: string[] = [];
  const window = run(
    { instant: pageConfig(site.django.url, { texts }) },
    {
      HTMLElement: class {
        textContent = "";
        setAttribute = (name: string, value: string): number => attributes.push(`${name}=${value}`);
        getAttribute = (): null => null;
      },
      customElements: { get: (name: string) => defined.get(name), define: (name: string, made: never) => defined.set(name, made) },
    },
  );
  const Element = defined.get("instant-status");
  if (Element === undefined) throw new Error("not defined");
  const element = new Element();
  element.connectedCallback();
  expect([element.textContent, attributes]).toEqual(["", ["role=status", "aria-live=polite", "status=idle"]]);
  site.django.rights.clear();
  return (runInContext("instant.connect()", window) as Promise<void>).then(
    () => expect.unreachable(),
    () => {
      expect(element.textContent).toBe("Abgemeldet");
    },
  );
});

test("the first call loads the other script, once and with the page's nonce", async () => {
  const calls = "https://cdn.example/instant/instant.calls.min.js?v=2";
  const window = run({ instant: pageConfig(site.django.url, { calls }) });
  site.centrifugo.methods.set("double", (data) => (data as { n: number }).n * 2);
  expect(window["scripts"]).toEqual([]);
  const result = runInContext(`Promise.all([instant.rpc("double", { n: 2 }), instant.rpc("double", { n: 4 })])`, window) as Promise<number[]>;
  expect(await result).toEqual([4, 8]);
  expect(window["scripts"]).toEqual([{ src: calls, nonce: "n0nce" }]);
  site.centrifugo.methods.set("no", () => {
    throw new Refusal(422, "n: is wrong");
  });
  const refused = runInContext(`instant.rpc("no").catch(({ name, code, fields }) => [name, code, { ...fields }])`, window) as Promise<unknown>;
  expect(await refused).toEqual(["RpcError", 422, { n: "is wrong" }]);
  // Names that the two scripts share are shortened in the same way.
  const published = runInContext(`instant.channel("public").publish({ message: "hi" })`, window) as Promise<object>;
  expect(await published).toMatchObject({ message: "hi", own: true, channel: "public" });
  const history = runInContext(`instant.channel("public").history()`, window) as Promise<{ messages: object[] }>;
  expect((await history).messages).toMatchObject([{ message: "hi" }]);
  const people = runInContext(
    `new Promise((resolve) => instant.channel("public").onPresence(({ joined }) => resolve(joined)))`,
    window,
  ) as Promise<object[]>;
  expect(await people).toMatchObject([{ user: "", connections: 1 }]);
  site.centrifugo.permits = false;
  const denied = runInContext(`instant.channel("public").history().catch(({ name, code }) => [name, code])`, window) as Promise<unknown>;
  expect(await denied).toEqual(["ChannelError", 103]);
  const large = `instant.channel("public").publish({ message: "x".repeat(70000) }).catch(({ name, code }) => [name, code])`;
  expect(await (runInContext(large, window) as Promise<unknown>)).toEqual(["ChannelError", 1009]);
  expect(window["scripts"]).toHaveLength(1);
  runInContext("instant.disconnect()", window);
});

test("a page that says nothing finds it beside the first, and loads it again after a failure", async () => {
  const window = run({});
  window["isCut"] = true;
  window["backend"] = site.django.url;
  site.centrifugo.methods.set("ping", () => "pong");
  runInContext(`instant = $instant.createInstant({ backend, websocketUrl: "${site.centrifugo.url}" })`, window);
  const late = runInContext(`instant.rpc("ping", {}, { timeout: 20 }).catch(({ name, temporary }) => [name, temporary])`, window) as Promise<unknown>;
  expect(await late).toEqual(["RequestError", true]);
  const aborted = runInContext(
    `{ const c = new AbortController(); const call = instant.rpc("ping", {}, { signal: c.signal }); c.abort("left"); call.catch((reason) => reason) }`,
    window,
  ) as Promise<unknown>;
  expect(await aborted).toBe("left");
  const call = runInContext(`instant.rpc("ping")`, window) as Promise<unknown>;
  window["isCut"] = false;
  expect(await call).toBe("pong");
  const src = `${site.django.url}/static/instant/instant.calls.min.js`;
  expect(window["scripts"]).toEqual([src, src].map((url) => ({ src: url, nonce: "n0nce" })));
  runInContext("instant.disconnect()", window);
});

test("the first listener that acknowledges loads a script of its own", async () => {
  const stored = "https://cdn.example/instant/instant.stored.min.js?v=2";
  const window = run({ instant: pageConfig(site.django.url, { stored, urls: { ...urls(), messages: `${site.django.url}/instant/messages/` } }) });
  site.django.stored.push({ channel: "public", position: 1, payload: { id: "1", message: "waited" } as { id: string } });
  const texts: string[] = [];
  window["add"] = (text: string) => texts.push(text);
  runInContext(`instant.channel("public").on("*", ({ message }) => add(message), { ack: true })`, window);
  await soon(() => {
    expect(texts).toEqual(["waited"]);
    expect(site.django.stored).toEqual([]);
  });
  expect(window["scripts"]).toEqual([{ src: stored, nonce: "n0nce" }]);
  runInContext("instant.disconnect()", window);
});

test("pages that share a connection load a script of its own, and find each other", async () => {
  const shared = "https://cdn.example/instant/instant.shared.min.js";
  const browser = { navigator: { locks: new Locks() }, BroadcastChannel: Channel, setInterval, clearInterval };
  const texts: string[] = [];
  const windows = [1, 2].map((number) => {
    const window = openWindow(
      site.django.url,
      { instant: pageConfig(site.django.url, { shared }) },
      { ...browser, add: (text: string) => texts.push(`${String(number)}: ${text}`) },
    );
    runInContext(`instant.channel("public").on("*", ({ message }) => add(message))`, window);
    return window;
  });
  for (const window of windows) {
    await soon(() => {
      expect(runInContext(`instant.channel("public").status`, window)).toBe("live");
    });
    expect(window["scripts"]).toEqual([{ src: shared, nonce: "n0nce" }]);
  }
  site.centrifugo.publish("public", { message: "one" });
  await soon(() => {
    expect(texts.sort()).toEqual(["1: one", "2: one"]);
  });
  expect(site.centrifugo.users).toEqual([""]);
  for (const window of windows) runInContext("instant.disconnect()", window);
});

test("a page whose script for it can't be loaded has its own connection", async () => {
  const window = run({ instant: pageConfig(site.django.url, { shared: "https://cdn.example/gone.js" }) });
  window["isCut"] = true;
  window["url"] = site.django.url;
  runInContext(`window.other = $instant.createInstant({ timeout: 100 }); other.connect()`, window);
  await soon(() => {
    expect(runInContext("other.status", window)).toBe("live");
  });
  runInContext("other.disconnect()", window);
});

test("settings that cannot be read are an error", () => {
  expect(() => run({ instant: "{" })).toThrow("JSON");
  expect(() => run({ instant: "{}" })).toThrow("No URL for login");
});
