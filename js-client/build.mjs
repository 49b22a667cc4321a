/**
 * Builds the scripts for Django's static files and the package for npm.
 *
 *   node build.mjs           writes ../instant/static/instant/ (the script, those that it loads when they are
 *                            needed, those of the bell, of live pages, of streams and of web push, the lite one, and
 *                            licences) and dist/, with the hooks
 *   node build.mjs --check   writes nothing; exits with 1 if the committed files differ from what the source gives
 */
import { spawnSync } from "node:child_process";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

import { build } from "esbuild";
import { minify } from "terser";

const root = fileURLToPath(new URL(".", import.meta.url));
const target = fileURLToPath(new URL("../instant/static/instant/", import.meta.url));
const name = "instant.min.js";
const scriptOf = (part) => `instant.${part}.min.js`;
const licences = "instant.min.js.LICENSE.txt";

/** The maximum size of the script and of our part of it, in bytes of gzip. */
const SCRIPT_LIMIT = 30 * 1024;
// The last 256 bytes begin calls and load the other scripts.
const OWN_LIMIT = 10 * 1024 + 256;
const LITE_LIMIT = 2500;
const LITE_INTERNAL = /^(?:begin|call|clients|emit|gaps|holders|messages|position|receive|remove|restart|statuses|tab)$/;
/** Each framework's hooks, which applications bundle. */
const HOOKS = ["react", "vue", "svelte"];
const HOOKS_LIMIT = 1024;

/** Empties classes of the SDK that nothing here can reach: transports that `src/transports.ts` never names, and Protobuf. */
const withoutUnused = {
  name: "without unused",
  setup({ onLoad }) {
    onLoad({ filter: /centrifuge\/build\/index\.mjs$/ }, async ({ path }) => {
      let contents = await readFile(path, "utf8");
      for (const unused of ["SockjsTransport", "WebtransportTransport", "ReplyStreamBuffer"]) {
        const before = contents;
        contents = contents.replace(new RegExp(`^class ${unused} \\{\\n[^]*?^\\}$`, "m"), `class ${unused} {}`);
        if (contents === before) throw new Error(`The SDK has no class ${unused}: look what has become of it.`);
      }
      return { contents, loader: "js" };
    });
  },
};

/** What a bundler does with `import()`, the script does with another script. */
const withScript = {
  name: "with script",
  setup({ onResolve }) {
    onResolve({ filter: /\/load\.js$/ }, ({ resolveDir }) => ({ path: join(resolveDir, "load.script.ts") }));
  },
};

const shared = {
  absWorkingDir: root,
  bundle: true,
  charset: "utf8",
  format: "esm",
  legalComments: "none",
  target: "es2022",
  treeShaking: true,
  write: false,
};

/** Returns the text of a bundle, and how its names were shortened. */
async function bundle(options) {
  const { outputFiles, mangleCache } = await build({ ...shared, plugins: [withoutUnused, withScript], ...options });
  return { code: outputFiles[0].text, mangleCache };
}

/**
 * Names that are shortened: private ones of the SDK, and ours that only our modules use. No name of the DOM,
 * of JSON or of the public interface may be among them.
 */
const INTERNAL =
  /^_[^_]|^(?:accept|attempt|begin|change|changed|channelToken|check|config|connectionToken|deny|django|drop|endpoints|expire|failed|feeds|forget|gaps|grants|guard|hasEnded|hasGap|hearJoins|hearsJoins|hold|isBehind|isConnected|isDenied|isFresh|isHeld|isJoined|isTokenless|last|listeners|load|loadState|moves|opened|pageState|pause|post|presences|readCookie|readyToken|receive|record|refusal|release|renew|restart|retry|rightsOf|seen|sequence|serverNow|setUrls|signOut|signsOut|startAt|statuses|subject|take|tryWebSocket|until|used|userIs|wake|websocketUrls)$/;

/** Options that give the smallest result after gzip. Terser changes the object that it is given, so it gets a copy. */
const COMPRESS = { passes: 3, module: true, hoist_funs: true, lhs_constants: false, sequences: false };

/** Returns a bundle that esbuild has minified with shortened names, and terser again, which saves a few per cent more. */
async function smallest({ banner = "", mangleCache: known = {}, ...options }) {
  const { code, mangleCache } = await bundle({ minify: true, mangleProps: INTERNAL, mangleCache: known, ...options });
  const format = { preamble: banner || undefined, ascii_only: false };
  const { code: text } = await minify(code, { ecma: 2022, module: options.format === "esm", compress: { ...COMPRESS }, format });
  return { text: `${text}\n`, mangleCache };
}

const size = (text) => gzipSync(text, { level: 9 }).length;

/** Returns the licences of the bundled code, and the version of the SDK. */
async function notices() {
  const sdk = `${root}node_modules/centrifuge`;
  const { version } = JSON.parse(await readFile(`${sdk}/package.json`, "utf8"));
  const code = await readFile(`${sdk}/build/index.mjs`, "utf8");
  const inside = (code.match(/\/\*[^]*?\*\/|(?:^[ \t]*\/\/.*\n)+/gm) ?? []).filter((comment) => comment.includes("Copyright"));
  const parts = [await readFile(`${sdk}/LICENSE`, "utf8"), await readFile(`${root}node_modules/events/LICENSE`, "utf8")];
  const morph = `${root}node_modules/idiomorph`;
  const { version: morphVersion } = JSON.parse(await readFile(`${morph}/package.json`, "utf8"));
  const morphs = [`${scriptOf("live")} contains idiomorph ${morphVersion}:`, await readFile(`${morph}/LICENSE`, "utf8")];
  const text = [`${name} contains centrifuge-js ${version}:`, ...parts, ...new Set(inside), ...morphs]
    .map((part) => part.replace(/\r/g, "").replace(/[ \t]+$/gm, "").trim())
    .join("\n\n");
  return { version, text: `${text}\n` };
}

const { version, text: licenceText } = await notices();
const banner = `/* Instant, MIT. Contains centrifuge-js ${version}, MIT: see ${licences}. Built from js-client/: do not edit. */`;
const script = { entryPoints: ["src/browser.ts"], format: "iife" };
// Our part is the script minus the SDK alone, minified in the same way.
const sdkAlone = {
  stdin: { contents: 'export { Centrifuge } from "centrifuge"', resolveDir: root },
  format: "esm",
};
const [{ text: built, mangleCache }, { text: sdk }, { text: alone }] = await Promise.all(
  [{ ...script, banner }, sdkAlone, { ...script, format: "esm", external: ["centrifuge"] }].map(smallest),
);
const own = size(built) - size(sdk);
/** What the script loads when it is needed. They use its objects, so their names are shortened as there. */
const LOADED = [
  ["calls", "the first call"],
  ["stored", "the first listener that acknowledges"],
  ["shared", "a page that shares its connection"],
];
/** Scripts of their own. They use the public interface only, and JSON whose names stay. */
const ALONE = [
  ["bell", "bell/browser", "The element <instant-bell>."],
  ["live", "live/browser", `What shows HTML of the server. Contains idiomorph, 0BSD: see ${licences}.`],
  ["stream", "stream/browser", "The element <instant-stream>."],
  ["push", "push/browser", "What lets a browser be notified without a page."],
  ["worker", "push/worker", "The service worker of web push."],
  ["lite", "lite/browser", "For pages that only listen.", LITE_INTERNAL],
];
const told = (what) => `/* Instant, MIT. ${what} Built from js-client/: do not edit. */`;
const parts = await Promise.all(
  [
    ...LOADED.map(([part, what]) => [part, `${part}/browser`, told(`What ${what} loads.`), { mangleCache }]),
    ...ALONE.map(([part, entry, what, mangleProps]) => [part, entry, told(what), { mangleProps }]),
  ].map(async ([part, entry, banner, names]) => {
    const { text } = await smallest({ entryPoints: [`src/${entry}.ts`], format: "iife", banner, ...names });
    return [scriptOf(part), text];
  }),
);

const hooks = await Promise.all(
  HOOKS.map(async (name) => {
    const options = { ...shared, entryPoints: [`src/${name}/index.ts`], minify: true, packages: "external" };
    return [name, size((await build(options)).outputFiles[0].text)];
  }),
);

const files = [[name, built], ...parts, [licences, licenceText]];

if (process.argv.includes("--check")) {
  for (const [file, text] of files) {
    if ((await readFile(target + file, "utf8").catch(() => "")) !== text) {
      process.stderr.write(
        `instant/static/instant/${file} is not what js-client/ gives: run \`npm ci && npm run build\` there and commit it.\n`,
      );
      process.exit(1);
    }
  }
} else {
  await mkdir(target, { recursive: true });
  for (const [file, text] of files) await writeFile(target + file, text);
  await rm(`${root}dist`, { recursive: true, force: true });
  await mkdir(`${root}dist`);
  // Both entries share their common code, or each class would exist twice.
  const entries = ["testing", "bell", "live", "lite", "stream", ...HOOKS].map((entry) => [entry, `src/${entry}/index.ts`]);
  const entryPoints = { index: "src/index.ts", ...Object.fromEntries(entries) };
  await build({ ...shared, entryPoints, outdir: "dist", packages: "external", splitting: true, write: true });
  for (const [file, text] of files) await writeFile(`${root}dist/${file}`, text);
  const types = spawnSync(process.execPath, ["node_modules/typescript/bin/tsc", "-p", "tsconfig.build.json"], {
    cwd: root,
    stdio: "inherit",
  });
  if (types.status !== 0) process.exit(1);
}

process.stdout.write(
  `${name}: ${size(built)} bytes of gzip (at most ${SCRIPT_LIMIT}): centrifuge ${size(sdk)} and ours ${own} ` +
    `(${size(alone)} when compressed by itself; at most ${OWN_LIMIT})\n` +
    parts
      .map(([file, text]) => `${file}: ${size(text)} bytes\n`)
      .join("") +
    `hooks (at most ${HOOKS_LIMIT}): ${hooks.map(([name, bytes]) => `${name} ${bytes}`).join(", ")}\n`,
);
if (size(built) > SCRIPT_LIMIT || Math.max(own, size(alone)) > OWN_LIMIT) {
  process.stderr.write("The script is over its budget.\n");
  process.exit(1);
}
const lite = parts.find(([file]) => file === scriptOf("lite"))[1];
if (size(lite) > LITE_LIMIT) {
  process.stderr.write(`The lite script is over its budget: ${size(lite)} of ${LITE_LIMIT} bytes.\n`);
  process.exit(1);
}
if (hooks.some(([, bytes]) => bytes > HOOKS_LIMIT)) {
  process.stderr.write("Hooks are over their budget.\n");
  process.exit(1);
}
