/** The README: its code is compiled and run, and its links and lines are checked. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { compileFunction, runInContext } from "node:vm";

import ts from "typescript";
import { describe, expect, test } from "vitest";

import { blocks, blocksIn, modules, readme } from "../readme.mjs";
import { createInstant, useInstant } from "../src/index.js";
import { soon, useSite } from "./site.js";
import { openWindow, pageConfig } from "./window.js";

const site = useSite();
const root = new URL("../", import.meta.url).pathname;
const manifest = JSON.parse(readFileSync(`${root}package.json`, "utf8")) as {
  readonly homepage: string;
  readonly repository: { readonly url: string; readonly directory: string };
  readonly bugs: string;
  readonly scripts: Record<string, string>;
};

test("every block is in a language that is checked below", () => {
  expect([...new Set(blocks.map(({ language }) => language))].sort()).toEqual(["console", "django", "html", "js", "ts"]);
});

test("the TypeScript compiles", { timeout: 300_000 }, () => {
  const vite = blocksIn("ts").filter((code) => code.includes('from "vite"'));
  expect(vite).toHaveLength(1);
  const sources = new Map([...modules(), ...vite].map((code, index) => [`${root}test/block${index.toString()}.ts`, code]));
  expect(sources.size).toBeGreaterThan(8);
  const options: ts.CompilerOptions = {
    noEmit: true,
    strict: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: true,
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    lib: ["lib.es2022.d.ts", "lib.dom.d.ts", "lib.dom.iterable.d.ts"],
    types: [],
    paths: {
      djangoinstant: [`${root}src/index.ts`],
      "djangoinstant/lite": [`${root}src/lite/index.ts`],
      "djangoinstant/bell": [`${root}src/bell/index.ts`],
      "djangoinstant/stream": [`${root}src/stream/index.ts`],
      "djangoinstant/testing": [`${root}src/testing/index.ts`],
    },
  };
  const standard = ts.createCompilerHost(options);
  const parsed = new Map([...sources].map(([name, code]) => [name, ts.createSourceFile(name, code, ts.ScriptTarget.ES2022)]));
  const host: ts.CompilerHost = {
    ...standard,
    fileExists: (name) => sources.has(name) || standard.fileExists(name),
    getSourceFile: (name, ...rest) => {
      const file = parsed.get(name) ?? standard.getSourceFile(name, ...rest);
      if (file) parsed.set(name, file);
      return file;
    },
  };
  // A program for each, because a block that extends InstantEvents changes what others may name. Of each the
  // block alone is checked: to check our sources, too, would take five times as long, and "npm run check" does it.
  const problems = [...sources.keys()].flatMap((name) => {
    const program = ts.createProgram([name], options, host);
    return ts.getPreEmitDiagnostics(program, program.getSourceFile(name)).map(({ messageText, file, start }) => {
      const line = file && start !== undefined ? file.text.slice(0, start).split("\n").length - 1 : 0;
      return [ts.flattenDiagnosticMessageText(messageText, "\n"), file?.text.split("\n")[line]];
    });
  });
  expect(problems).toEqual([]);
});

test("the script of the first page runs, and shows what Django publishes", async () => {
  const [page = ""] = blocksIn("html");
  const code = /<script>\n([^]*)<\/script>/.exec(page)?.[1] ?? "";
  const [, id = ""] = /<p id="(.*)">/.exec(page) ?? [];
  const element = { textContent: "" };
  const document = { querySelector: (selector: string) => (selector === `#${id}` ? element : null) };
  const window = openWindow(site.django.url, { instant: pageConfig(site.django.url) }, { document });
  runInContext(code, window);
  await soon(() => {
    expect(site.centrifugo.subscribed).toEqual(["public"]);
  });
  site.centrifugo.publish("public", { message: "Hello" });
  await soon(() => {
    expect(element.textContent).toBe("Hello");
  });
  runInContext("instant.disconnect()", window);
});

test("the script for htmx and Turbo handles each message once, however often it runs", async () => {
  const page = blocksIn("html").find((text) => text.includes("key:")) ?? "";
  const code = /<script>\n([^]*)<\/script>/.exec(page)?.[1] ?? "";
  const texts: string[] = [];
  const element = { set textContent(text: string) { texts.push(text); } };
  let isThere = true;
  const document = { querySelector: (selector: string) => (selector === "#board" && isThere ? element : null) };
  const window = openWindow(site.django.url, { instant: pageConfig(site.django.url) }, { document });
  for (let visit = 0; visit < 3; visit += 1) runInContext(code, window);
  const all: string[] = [];
  window["all"] = all;
  runInContext(`instant.channel("public").on("*", ({ message }) => { all.push(message) })`, window);
  await soon(() => {
    expect(site.centrifugo.subscribed).toEqual(["public"]);
  });
  site.centrifugo.publish("public", { message: "one" });
  await soon(() => {
    expect([all, texts]).toEqual([["one"], ["one"]]);
  });
  // On a page that has no such element it does nothing.
  isThere = false;
  site.centrifugo.publish("public", { message: "two" });
  await soon(() => {
    expect([all, texts]).toEqual([["one", "two"], ["one"]]);
  });
  runInContext("instant.disconnect()", window);
});

test("the elements have texts for statuses that exist", () => {
  const element = blocksIn("html").find((text) => text.includes("<instant-status>")) ?? "";
  const named = [...element.matchAll(/ ([a-z-]+)="/g)].map(([, name]) => name);
  const statuses = /^\| `instant.status`[^]*?\n\n/m.exec(readme)?.[0] ?? "";
  expect(named).toEqual(["offline", "live"]);
  for (const name of named) expect(statuses).toContain(`| \`${String(name)}\` |`);
});

test("the functions of django-instant 4 are called as it says", async () => {
  const [code = ""] = blocksIn("js");
  site.django.passwords.set("username", "password");
  site.django.rights.set("username", ["public", "$users"]);
  const shown: unknown[] = [];
  const servers = { "http://localhost:8000": site.django.url, "ws://localhost:8427": site.centrifugo.url };
  const placed = Object.entries(servers).reduce((text, [from, to]) => text.replace(from, to), code);
  expect(placed).not.toContain("localhost");
  const run = compileFunction(`return (async () => { ${placed} return getClient })()`, ["$instant", "show"]) as (
    $instant: object,
    show: (...values: unknown[]) => unknown,
  ) => Promise<ReturnType<typeof useInstant>["getClient"]>;
  const { WebSocket } = site.options;
  const getClient = await run(
    { createInstant, useInstant: () => useInstant({ ...(WebSocket && { WebSocket }) }) },
    (...values) => shown.push(values),
  );
  await soon(() => {
    expect(site.centrifugo.subscribed).toEqual(["$users", "public"]);
  });
  site.centrifugo.publish("$users", { message: "Hello" });
  await soon(() => {
    expect(shown).toEqual([["$users", "Hello"]]);
  });
  getClient()?.disconnect();
});

test("what it says about tests works", async () => {
  const code = blocksIn("ts").find((text) => text.includes("djangoinstant/testing")) ?? "";
  const { outputText } = ts.transpileModule(code.replace(/^import.*\n/m, ""), { compilerOptions: { target: ts.ScriptTarget.ES2022 } });
  const { createFakeInstant } = await import("../src/testing/index.js");
  const assertions: unknown[] = [];
  const body = `return (async () => { ${outputText} page.instant.disconnect() })()`;
  const run = compileFunction(body, ["createFakeInstant", "console"]) as (...given: unknown[]) => Promise<void>;
  await run(createFakeInstant, { assert: (value: unknown) => assertions.push(value) });
  expect(assertions).toEqual([true, true]);
});

test("the template tag and the commands exist", () => {
  const tag = readFileSync(`${root}../instant/templatetags/instant.py`, "utf8");
  for (const [, name = ""] of blocksIn("django").join("").matchAll(/{% (\w+)/g)) {
    if (name !== "load") expect(tag).toContain(`def ${name}(`);
  }
  const named = [...blocksIn("console").join("").matchAll(/npm (?:run )?(\w+)/g)].map(([, name = ""]) => name);
  expect(named).toContain("build");
  for (const name of named) expect([...Object.keys(manifest.scripts), "ci", "install"]).toContain(name);
});

test("every file of the source is in its table", () => {
  const table = readme.slice(readme.indexOf("Where is what"));
  const files = readdirSync(`${root}src`).map((name) => (name.includes(".") ? name : `${name}/`));
  expect(files.filter((name) => !table.includes(`\`${name}\``))).toEqual([]);
});

test("no line is longer than 120 columns", () => {
  expect(readme.split("\n").filter((line) => line.length > 120)).toEqual([]);
});

describe("on npm's page", () => {
  test("the package names its project", () => {
    expect(manifest.repository).toMatchObject({ directory: "js-client" });
    for (const url of [manifest.bugs, manifest.repository.url.replace("git+", "")]) expect(url).toContain(manifest.homepage);
  });

  test("every link leads somewhere from any page", () => {
    const links = [...readme.matchAll(/\]\(([^)]+)\)/g)].map(([, link = ""]) => link);
    expect(links.length).toBeGreaterThan(4);
    const headings = [...readme.matchAll(/^#+ (.*)$/gm)].map(([, title = ""]) => `#${title.toLowerCase().replace(/[^a-z0-9 -]/g, "").replace(/ /g, "-")}`);
    for (const link of links) {
      if (link.startsWith("#")) expect(headings).toContain(link);
      else expect(link).toMatch(/^https:\/\//);
      // Files are linked under the project's address.
      const [, path] = new RegExp(`^${manifest.homepage}source/([^#]*)`).exec(link) ?? [];
      if (path !== undefined) expect(existsSync(`${root}../${path}`), link).toBe(true);
    }
  });
});

test("a block of code can be found by the tests", () => {
  // A fence with an attribute or an indent would be skipped above.
  expect(blocks).toHaveLength((readme.match(/```/g) ?? []).length / 2);
});
