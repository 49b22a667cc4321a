/** Bundles test/soak.ts and runs it. */
import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

const root = fileURLToPath(new URL(".", import.meta.url));
// In test/, so that relative paths and node_modules are found.
const outfile = `${root}test/soak.built.mjs`;
await build({
  absWorkingDir: root,
  entryPoints: ["test/soak.ts"],
  outfile,
  bundle: true,
  format: "esm",
  packages: "external",
  platform: "node",
  target: "node20",
});
try {
  const { status } = spawnSync(process.execPath, [outfile, ...process.argv.slice(2)], { stdio: "inherit" });
  process.exitCode = status ?? 1;
} finally {
  rmSync(outfile);
}
