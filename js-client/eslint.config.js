import tseslint from "typescript-eslint";

export default tseslint.config(
  { ignores: ["dist/", "build.mjs", "eslint.config.js"] },
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
