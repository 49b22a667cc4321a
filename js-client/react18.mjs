/** Runs the tests of the React hooks with React 18, which it installs in a folder of its own: `npm run test:react18`. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL(".", import.meta.url));
const version = process.argv[2] ?? "18";
const folder = mkdtempSync(join(tmpdir(), "instant-react-"));
const installed = join(folder, "node_modules");
const tests = ["vitest", "run", "react.test"];

function run(command, args, env = {}) {
  const options = { cwd: root, stdio: "inherit", env: { ...process.env, ...env }, shell: process.platform === "win32" };
  return spawnSync(command, args, options).status ?? 1;
}

try {
  process.exitCode =
    run("npm", ["install", "--no-audit", "--no-fund", "--prefix", folder, `react@${version}`, `react-dom@${version}`]) ||
    run("npx", tests, { INSTANT_REACT: installed }) ||
    run("npx", tests, { INSTANT_REACT: installed, NODE_ENV: "production" });
} finally {
  rmSync(folder, { recursive: true });
}
