/**
 * Brings a clone to where it can run: packages installed as package-lock.json says, everything built. Does nothing when nothing changed.
 * Called by: start.mjs and test.mjs. Prints what it does, since the first time takes a minute.
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { hashFile, hashTimes, readStamp, root, writeStamp } from "./stamp.mjs";

const QUIET = ["--no-audit", "--no-fund", "--loglevel=error"];
const BUILT_FROM = ["packages", "web", "tsconfig.json", "tsconfig.base.json", "package-lock.json"];
const BUILT = ["packages/cli/dist/bin.js", "web/dist/index.html"];

/** Throws when npm fails; its own words are on the terminal by then. */
export function installPackages() {
  const stamp = `${hashFile("package-lock.json")} ${process.version}`;
  if (existsSync(join(root, "node_modules", ".package-lock.json")) && readStamp("installed") === stamp)
    return;
  console.log("holdfast: installing packages (npm ci) …");
  const { status, stderr, error } = spawnSync("npm", ["ci", ...QUIET], {
    cwd: root,
    stdio: ["ignore", "inherit", "pipe"],
    encoding: "utf8",
  });
  if (error !== undefined) throw error;
  if (status !== 0) {
    // `npm ci` refuses a lock file that lacks the optional packages of other platforms, as one written behind a registry that does
    // not carry them all does. Versions are exact either way, and nothing is written into the lock file.
    if (!stderr.includes("EUSAGE")) throw new Error(`npm ci failed:\n${stderr}`);
    console.log("holdfast: package-lock.json is not complete for this registry; npm install …");
    run("npm", ["install", "--no-save", ...QUIET]);
  }
  writeStamp("installed", stamp);
}

/** Throws when a compiler fails; its own words are on the terminal by then. */
export function buildAll() {
  const stamp = hashTimes(BUILT_FROM);
  if (readStamp("built") === stamp && BUILT.every((file) => existsSync(join(root, file)))) return;
  console.log("holdfast: building …");
  run(process.execPath, [join("node_modules", "typescript", "bin", "tsc"), "-b"]);
  run(
    process.execPath,
    [join(root, "node_modules", "vite", "bin", "vite.js"), "build", "--logLevel", "warn"],
    join(root, "web"),
  );
  writeStamp("built", stamp);
}

/** @param {string} file @param {readonly string[]} args */
function run(file, args, cwd = root) {
  const { status, error } = spawnSync(file, args, { cwd, stdio: "inherit" });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${file} ${args.join(" ")} failed with exit code ${status}`);
}
