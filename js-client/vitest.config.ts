import { defineConfig } from "vitest/config";

// A busy machine takes its time; a test that hangs is found all the same.
export default defineConfig({ test: { testTimeout: 30_000 } });
