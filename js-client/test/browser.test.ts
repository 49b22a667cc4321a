/** The committed script, run as in a page. */
import { spawnSync } from "node:child_process";
import { runInContext } from "node:vm";

import { expect, test } from "vitest";

import { soon, useSite } from "./site.js";
import { openWindow, pageConfig } from "./window.js";

const site = useSite();
const root = new URL("../", import.meta.url);
const run = (dataset: Record<string, string>, before?: object): Record<string, unknown> =>
  openWindow(site.django.url, dataset, before);
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

test("settings that cannot be read are an error", () => {
  expect(() => run({ instant: "{" })).toThrow("JSON");
  expect(() => run({ instant: "{}" })).toThrow("No URL for login");
});

test("the committed script is built from the source, and within its budget", { timeout: 30_000 }, () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, ["build.mjs", "--check"], { cwd: root, encoding: "utf8" });
  expect(stderr).toBe("");
  expect(stdout).toMatch(/bytes of gzip/);
  expect(status).toBe(0);
});
