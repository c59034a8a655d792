/**
 * What npm would publish, packed once and judged twice: publint on how it is described, attw on what TypeScript resolves.
 * Exits with 1 on any finding. Needs dist. Called by: check-steps.mjs.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import { root } from "./stamp.mjs";

const PACKAGES = ["protocol", "stream", "client", "server", "cli"];

const tarballs = mkdtempSync(join(tmpdir(), "holdfast-pack-"));
/** @type {string[]} */
const findings = [];
try {
  const workspaces = PACKAGES.map((name) => `--workspace=packages/${name}`);
  const packed = execFileSync("npm", ["pack", "--json", `--pack-destination=${tarballs}`, ...workspaces], {
    cwd: root,
    encoding: "utf8",
  });
  /** @type {{ name: string, filename: string, files: { path: string }[] }[]} */
  const reports = JSON.parse(packed);
  if (reports.length !== PACKAGES.length)
    findings.push(`npm packed ${reports.length} packages, not ${PACKAGES.length}`);
  for (const report of reports) findings.push(...(await judge(report)));
} finally {
  rmSync(tarballs, { recursive: true, force: true });
}
for (const finding of findings) console.error(finding);
console.log(`${PACKAGES.length} packages, ${findings.length} findings`);
process.exitCode = findings.length === 0 ? 0 : 1;

/** @param {{ name: string, filename: string, files: { path: string }[] }} report @returns {Promise<string[]>} */
async function judge({ name, filename, files }) {
  const tarball = join(tarballs, filename);
  const directory = join(root, "packages", name.replace("@holdfast/", ""));
  const manifest = JSON.parse(readFileSync(join(directory, "package.json"), "utf8"));
  const found = files
    .filter(({ path }) => path.includes(".test."))
    .map(({ path }) => `${name}: packs a test, ${path}`);
  if (!files.some(({ path }) => path.startsWith("dist/"))) found.push(`${name}: packs no dist; build first`);
  const { buffer, byteOffset, byteLength } = readFileSync(tarball);
  const { messages } = await publint({
    pack: { tarball: buffer.slice(byteOffset, byteOffset + byteLength) },
  });
  for (const message of messages) {
    // A suggestion about taste is not a finding; what breaks an install is.
    if (message.type !== "suggestion")
      found.push(`${name}: ${formatMessage(message, manifest, { color: false }) ?? message.code}`);
  }
  // A command has no types to resolve.
  if (!Object.keys(manifest.exports).some((entry) => entry !== "./package.json")) return found;
  const attw = join(root, "node_modules", ".bin", "attw");
  const { status, stdout } = spawnSync(
    attw,
    [tarball, "--profile=esm-only", "--no-color", "--format=ascii"],
    { encoding: "utf8" },
  );
  if (status !== 0) found.push(`${name}: attw\n${stdout}`);
  return found;
}
