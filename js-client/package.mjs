/**
 * Packs the package, asks publint and are-the-types-wrong about it, installs the tarball in an empty project,
 * compiles and runs the README's code there. Needs the registry (for centrifuge and TypeScript's types).
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

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

  // The README's TypeScript is compiled as it stands, each block a file of its own, with what it takes for granted.
  const readme = readFileSync(`${root}README.md`, "utf8");
  const blocks = [...readme.matchAll(/^```ts\n([^]*?)^```$/gm)].map(([, code]) => code);
  const granted = readFileSync(`${root}test/readme.d.ts`, "utf8").trim().split("\n");
  for (const [index, code] of blocks.entries()) {
    const missing = granted.filter((line) => {
      const [, name] = /^declare (?:const|function) (\w+)/.exec(line);
      return !new RegExp(`^const ${name}\\b`, "m").test(code);
    });
    const header = ['import type { Instant } from "djangoinstant";', ...missing];
    writeFileSync(join(folder, `block${index}.ts`), [...header, code].join("\n"));
  }
  const compile = (module, moduleResolution) => {
    const lib = ["es2022", "dom", "dom.iterable"];
    const compilerOptions = { noEmit: true, strict: true, exactOptionalPropertyTypes: true, target: "es2022", lib, types: [], module, moduleResolution };
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["*.ts"] }));
    run(process.execPath, `${root}node_modules/typescript/bin/tsc`);
  };
  compile("esnext", "bundler");
  compile("nodenext", "nodenext");

  // What it says about tests is run.
  const tested = blocks.find((code) => code.includes("djangoinstant/testing"));
  writeFileSync(join(folder, "tested.mjs"), `${tested}\npage.instant.disconnect();\n`);
  run(process.execPath, "tested.mjs");
  process.stdout.write(`${packed.trim()}: sound; ${blocks.length} blocks of the README compiled in two ways, one run\n`);
} finally {
  rmSync(folder, { recursive: true });
}
