/**
 * Packs the package, checks it with publint and are-the-types-wrong, installs the tarball in an empty project, and
 * compiles and runs the README's code there. Needs the npm registry.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { transform } from "esbuild";

import { blocksIn, modules } from "./readme.mjs";

const root = fileURLToPath(new URL(".", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "instant-package-"));
const run = (command, ...options) => execFileSync(command, options, { cwd: folder, stdio: ["ignore", "inherit", "inherit"] });
const bin = (name) => `${root}node_modules/.bin/${name}`;

try {
  const packed = execFileSync("npm", ["pack", "--silent", "--pack-destination", folder], { cwd: root, encoding: "utf8" });
  const tarball = join(folder, packed.trim());
  run(bin("publint"), "run", tarball, "--strict");
  // The script is for browsers only. CommonJS gets ES modules, which Node can require() from 20.19 on.
  run(bin("attw"), tarball, "--profile", "esm-only", "--exclude-entrypoints", "script");

  writeFileSync(join(folder, "package.json"), JSON.stringify({ name: "user", private: true, type: "module" }));
  run("npm", "install", "--no-audit", "--no-fund", "--loglevel=error", tarball);

  // Against the installed package, whose types an editor reads; test/readme.test.ts does it against the source.
  const files = modules();
  for (const [index, code] of files.entries()) writeFileSync(join(folder, `block${index}.ts`), code);
  const compile = (module, moduleResolution) => {
    const lib = ["es2022", "dom", "dom.iterable"];
    const compilerOptions = { noEmit: true, strict: true, exactOptionalPropertyTypes: true, target: "es2022", lib, types: [], module, moduleResolution };
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["*.ts"] }));
    run(process.execPath, `${root}node_modules/typescript/bin/tsc`);
  };
  compile("esnext", "bundler");
  compile("nodenext", "nodenext");

  const tested = blocksIn("ts").find((code) => code.includes("djangoinstant/testing"));
  const { code } = await transform(`${tested}\npage.instant.disconnect();\n`, { loader: "ts" });
  writeFileSync(join(folder, "tested.mjs"), code);
  run(process.execPath, "tested.mjs");
  process.stdout.write(`${packed.trim()}: sound; ${files.length} blocks of the README compiled in two ways, one run\n`);
} finally {
  rmSync(folder, { recursive: true });
}
