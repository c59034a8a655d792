/**
 * Whether something was done for exactly these files already: a hash of names, sizes and times, kept beside the packages in
 * node_modules, where a fresh clone has none. Times are enough, since a wrong guess only costs a build.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("..", import.meta.url));

const SKIPPED = new Set(["node_modules", "dist", ".git", "coverage", ".cache"]);

/**
 * @param {readonly string[]} paths files and directories below the root; what does not exist counts as absent
 * @returns {string}
 */
export function hashTimes(paths) {
  const hash = createHash("sha256");
  for (const path of paths.toSorted()) addTimes(hash, join(root, path));
  return hash.digest("hex");
}

/** The contents of one file. @param {string} path @returns {string} */
export function hashFile(path) {
  return createHash("sha256")
    .update(readFileSync(join(root, path)))
    .digest("hex");
}

/** @param {string} name @returns {string | undefined} */
export function readStamp(name) {
  const file = stampFile(name);
  return existsSync(file) ? readFileSync(file, "utf8") : undefined;
}

/** @param {string} name @param {string} stamp */
export function writeStamp(name, stamp) {
  mkdirSync(dirname(stampFile(name)), { recursive: true });
  writeFileSync(stampFile(name), stamp);
}

/** @param {string} name */
function stampFile(name) {
  return join(root, "node_modules", ".cache", "holdfast", name);
}

/** @param {import("node:crypto").Hash} hash @param {string} path */
function addTimes(hash, path) {
  if (!existsSync(path)) return;
  const { size, mtimeMs } = statSync(path);
  if (!statSync(path).isDirectory()) {
    hash.update(`${relative(root, path)} ${size} ${mtimeMs}\n`);
    return;
  }
  for (const name of readdirSync(path).toSorted()) {
    if (!SKIPPED.has(name) && !name.endsWith(".tsbuildinfo")) addTimes(hash, join(path, name));
  }
}
