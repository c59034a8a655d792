/**
 * What the client costs a page: each selection of it bundled as a page's own build would (Vite, minified), and gzipped.
 *
 *     npm run size              prints the sizes, fails beyond a bound
 *     npm run size -- core      and what the bytes of that selection are made of, before minification
 *
 * The bounds are what was reached, not what was wished: one that is passed is a decision to be taken, here and in the client's README.
 * Bundles dist, as npm would deliver it. Called by: check-steps.mjs.
 */
import { gzipSync } from "node:zlib";
import { relative } from "node:path";
import { build } from "vite";
import { root } from "./stamp.mjs";

/**
 * @typedef {object} Selection
 * @property {string} name
 * @property {string} code what a page would write
 * @property {number} maxBytes min+gzip
 */

/** @type {readonly Selection[]} */
const SELECTIONS = [
  {
    name: "stream",
    code: `export { StableEventSource } from "@holdfast/client";`,
    maxBytes: 6_950,
  },
  {
    name: "core",
    code: `export { StableEventSource, watchTask } from "@holdfast/client";`,
    maxBytes: 9_550,
  },
  // All of the entry, so everything but uploads, whose tus is a package of its own.
  { name: "client", code: `export * from "@holdfast/client";`, maxBytes: 10_750 },
  { name: "strict", code: `export { EventSource } from "@holdfast/client/eventsource";`, maxBytes: 2_450 },
  // With it a page has the core too.
  {
    name: "shared",
    code: `export { createSharedStreams } from "@holdfast/client/shared";`,
    maxBytes: 15_200,
  },
];

const asked = process.argv[2];
for (const { name, code, maxBytes } of SELECTIONS) {
  const { text, parts } = await bundle(code);
  const bytes = gzipSync(text, { level: 9 }).length;
  const verdict = bytes > maxBytes ? `ABOVE its bound of ${maxBytes}` : `of at most ${maxBytes}`;
  console.log(`${name.padEnd(8)} ${bytes} bytes min+gzip, ${verdict} (${text.length} min)`);
  if (bytes > maxBytes) process.exitCode = 1;
  if (name === asked)
    for (const [file, length] of parts) console.log(`${String(length).padStart(8)}  ${file}`);
}

/**
 * @param {string} code
 * @returns {Promise<{ text: string, parts: readonly (readonly [string, number])[] }>} and the files in it, largest first
 */
async function bundle(code) {
  const entry = "virtual:page";
  const built = await build({
    root,
    configFile: false,
    logLevel: "error",
    plugins: [
      {
        name: "page",
        resolveId: (id) => (id === entry ? id : undefined),
        load: (id) => (id === entry ? code : undefined),
      },
    ],
    build: {
      write: false,
      target: "es2022",
      modulePreload: false,
      reportCompressedSize: false,
      rolldownOptions: { input: entry, preserveEntrySignatures: "strict" },
    },
  });
  const [chunk] = (Array.isArray(built) ? built : [built]).flatMap((one) =>
    "output" in one ? one.output : [],
  );
  if (chunk?.type !== "chunk") throw new Error("the bundler gave no chunk");
  const parts = Object.entries(chunk.modules)
    .map(([file, { renderedLength }]) => /** @type {const} */ ([relative(root, file), renderedLength]))
    .toSorted((a, b) => b[1] - a[1]);
  return { text: chunk.code, parts };
}
