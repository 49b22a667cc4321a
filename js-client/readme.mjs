/** The code in README.md, for the tests that compile and run it. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL(".", import.meta.url));

export const readme = readFileSync(`${root}README.md`, "utf8");

/** All code blocks: `{ language, code }`. */
export const blocks = [...readme.matchAll(/^```(\w*)\n([^]*?)^```$/gm)].map(([, language, code]) => ({ language, code }));

/** The code of all blocks in a language. */
export const blocksIn = (language) => blocks.filter((block) => block.language === language).map(({ code }) => code);

/**
 * The TypeScript blocks as complete modules. Each gets the declarations of test/readme.d.ts that it does
 * not make itself; a block that needs a bundler's package is left out.
 */
export function modules() {
  const declarations = readFileSync(`${root}test/readme.d.ts`, "utf8").trim().split("\n");
  return blocksIn("ts")
    .filter((code) => !code.includes('from "vite"'))
    .map((code) => {
      const missing = declarations.filter((line) => {
        const [, name] = /^declare (?:const|function) (\w+)/.exec(line);
        return !new RegExp(`^const ${name}\\b`, "m").test(code);
      });
      return ['import type { Instant } from "djangoinstant";', ...missing, code, "export {};"].join("\n");
    });
}
