/** The components in docs/hooks.md: they compile, and use hooks that there are. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { transform } from "esbuild";
import { compile } from "svelte/compiler";
import { expect, test } from "vitest";
import { compileScript, compileTemplate, parse } from "vue/compiler-sfc";

const document = readFileSync(join(import.meta.dirname, "../../docs/hooks.md"), "utf8");
const HOOKS = ["useChannel", "useEvent", "useLiveState", "usePresence", "useRpc", "useStatus"];

function block(language: string): string {
  const [, code] = new RegExp(`^\`\`\`${language}\n([^]*?)^\`\`\`$`, "m").exec(document) ?? [];
  if (!code) throw new Error(`no block in ${language}`);
  return code;
}

/** Expects that a component imports all hooks, and nothing that isn't there. */
async function importsHooks(code: string, framework: string): Promise<void> {
  const [, names = ""] = new RegExp(`import \\{([^}]*)\\} from "djangoinstant/${framework}"`).exec(code) ?? [];
  const imported = names.match(/\w+/g) ?? [];
  expect(imported).toEqual(expect.arrayContaining(HOOKS));
  const there = (await import(`../src/${framework}/index.ts`)) as object;
  expect(Object.keys(there)).toEqual(expect.arrayContaining(imported));
  for (const name of imported) expect(code.split(name).length).toBeGreaterThan(2);
}

test("React", async () => {
  const code = block("jsx");
  expect((await transform(code, { loader: "jsx", jsx: "automatic" })).warnings).toEqual([]);
  await importsHooks(code, "react");
});

test("Vue", async () => {
  const code = block("vue");
  const { descriptor, errors } = parse(code);
  expect(errors).toEqual([]);
  const { bindings } = compileScript(descriptor, { id: "order" });
  const source = descriptor.template?.content ?? "";
  const options = { compilerOptions: { ...(bindings && { bindingMetadata: bindings }) } };
  const template = compileTemplate({ source, id: "order", filename: "order.vue", ...options });
  expect([...template.errors, ...template.tips]).toEqual([]);
  await importsHooks(code, "vue");
});

test("Svelte", async () => {
  const code = block("svelte");
  expect(compile(code, { filename: "order.svelte" }).warnings).toEqual([]);
  await importsHooks(code, "svelte");
});
