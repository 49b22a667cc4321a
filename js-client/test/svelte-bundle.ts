/** Compiles components of Svelte together with the hooks, as an application's bundler does. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

import { build } from "esbuild";
import { compile } from "svelte/compiler";

const root = join(import.meta.dirname, "..");

/**
 * Returns the module of a bundle: `component` is that of the source; `mount`, `unmount` and `flushSync`, or `render`
 * on the server, are Svelte's.
 */
export async function bundled<Module>(source: string, generate: "client" | "server"): Promise<Module> {
  const folder = mkdtempSync(join(root, "node_modules", ".svelte-"));
  const from = generate === "client" ? "svelte" : "svelte/server";
  try {
    const { outputFiles } = await build({
      stdin: { contents: `export * from "${from}"; export { default as component } from "./component.svelte";`, resolveDir: root },
      bundle: true,
      conditions: generate === "client" ? ["browser"] : [],
      format: "esm",
      platform: "neutral",
      mainFields: ["module", "main"],
      logLevel: "silent",
      write: false,
      plugins: [
        {
          name: "svelte",
          setup(options) {
            options.onResolve({ filter: /^\.\/component\.svelte$/ }, () => ({ path: "component.svelte", namespace: "svelte" }));
            options.onResolve({ filter: /^djangoinstant\/svelte$/ }, () => ({ path: join(root, "src/svelte/index.ts") }));
            options.onLoad({ filter: /.*/, namespace: "svelte" }, () => ({
              contents: compile(source, { generate, filename: "component.svelte" }).js.code,
              resolveDir: root,
            }));
          },
        },
      ],
    });
    const file = join(folder, "bundle.mjs");
    writeFileSync(file, outputFiles[0]?.text ?? "");
    return (await import(/* @vite-ignore */ pathToFileURL(file).href)) as Module;
  } finally {
    rmSync(folder, { recursive: true });
  }
}
