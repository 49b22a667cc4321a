import tseslint from "typescript-eslint";

export default tseslint.config(
  { ignores: ["dist/", "*.mjs", "eslint.config.js", "test/*.built.mjs", "test/readme.d.ts"] },
  ...tseslint.configs.strictTypeChecked,
  { languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } } },
  // Each mistake in there is there on purpose.
  { files: ["test/types/**"], rules: { "@typescript-eslint/no-unnecessary-condition": "off" } },
  {
    files: ["src/**"],
    rules: {
      "no-console": "error",
      "no-restricted-exports": ["error", { restrictDefaultExports: { direct: true, named: true } }],
    },
  },
);
