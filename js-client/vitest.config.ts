import { defineConfig } from "vitest/config";

// The files share a process and what it has imported: each of them cleans up what it changes.
// A busy machine takes its time; a test that hangs is found all the same.
const react = process.env["INSTANT_REACT"];
export default defineConfig({
  test: { testTimeout: 120_000, isolate: false },
  // Another React than the one of node_modules, see react18.mjs.
  ...(react && { resolve: { alias: { "react-dom": `${react}/react-dom`, react: `${react}/react` } } }),
});
