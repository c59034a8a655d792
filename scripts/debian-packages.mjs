/**
 * What the suites need from Debian, and how it gets there: as root with apt-get, else it is said what is missing.
 * Called by: test.mjs. A new need is one line here and its name in suites.mjs.
 */
import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";

/** Package → a command that it brings. */
const COMMANDS = {
  apache2: "apache2",
  "apache2-utils": "ab",
  caddy: "caddy",
  chromium: "chromium",
  curl: "curl",
  faketime: "faketime",
  "firefox-esr": "firefox-esr",
  haproxy: "haproxy",
  hitch: "hitch",
  iproute2: "tc",
  lighttpd: "lighttpd",
  nftables: "nft",
  "nghttp2-client": "h2load",
  "nginx-light": "nginx",
  openssl: "openssl",
  "squid-openssl": "squid",
  varnish: "varnishd",
};

const POLICY = "/usr/sbin/policy-rc.d";

/** @typedef {keyof typeof COMMANDS} DebianPackage */

/** @param {readonly DebianPackage[]} packages @returns {readonly DebianPackage[]} */
export function findMissing(packages) {
  return packages.filter((name) => !hasCommand(COMMANDS[name]));
}

/** Returns why it can't be done, or undefined when apt-get was content. @param {readonly DebianPackage[]} packages */
export function installDebianPackages(packages) {
  if (process.getuid?.() !== 0) return "not root";
  if (!hasCommand("apt-get")) return "no apt-get here";
  return withoutStarting(() => install(packages));
}

/** @param {readonly DebianPackage[]} packages */
function install(packages) {
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  for (const args of [
    ["update", "-q"],
    ["install", "-q", "-y", "--no-install-recommends", ...packages],
  ]) {
    const { status, error } = spawnSync("apt-get", args, {
      stdio: ["ignore", "inherit", "inherit"],
      env,
      timeout: 900_000,
    });
    if (status !== 0) return `apt-get ${args[0]} failed: ${error?.message ?? `exit ${status}`}`;
  }
  return undefined;
}

/**
 * Proxies are wanted as commands; as packages they would start as services, on port 80 and one against the other. Debian asks this file.
 * @template T @param {() => T} run @returns {T}
 */
function withoutStarting(run) {
  if (existsSync(POLICY)) return run(); // the machine's own, as in containers
  try {
    writeFileSync(POLICY, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
    return run();
  } finally {
    rmSync(POLICY, { force: true });
  }
}

/** @param {string} command */
function hasCommand(command) {
  // Not every PATH of a plain user has the directories of root's tools.
  const directories = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/sbin"];
  return directories.some((directory) => {
    try {
      accessSync(join(directory, command), constants.X_OK);
      return true;
    } catch {
      return false; // not there, or not to be run: both mean that it is missing
    }
  });
}
