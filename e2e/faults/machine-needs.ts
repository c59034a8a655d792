/** Whether this machine can be made to have a fault, and if not, why. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Need } from "./fault.js";
import { NetworkLink } from "./network-link.js";

/** Undefined when it can. */
export function explainMissing(need: Need): string | undefined {
  switch (need) {
    case "link":
      return explainMissingLink();
    case "mount":
      return explainMissingMount();
    case "faketime":
      return findFaketime() === undefined ? "libfaketime is not installed" : undefined;
  }
}

/** The preload of Debian's package, in the form for several threads. */
export function findFaketime(): string | undefined {
  for (const directory of ["/usr/lib", ...subdirectories("/usr/lib")]) {
    const path = join(directory, "faketime", "libfaketimeMT.so.1");
    if (existsSync(path)) return path;
  }
  return undefined;
}

function explainMissingLink(): string | undefined {
  if (process.getuid?.() !== 0) return "needs root, for a network namespace";
  try {
    const link = new NetworkLink();
    try {
      link.dropPackets(100);
      link.stopDropping();
      link.limitBandwidth(10_000);
      link.liftBandwidth();
    } finally {
      link.remove();
    }
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function explainMissingMount(): string | undefined {
  if (process.getuid?.() !== 0) return "needs root, for a small tmpfs";
  const directory = mkdtempSync(join(tmpdir(), "holdfast-mount-"));
  const { status, stderr } = spawnSync("mount", ["-t", "tmpfs", "tmpfs", directory]);
  if (status === 0) spawnSync("umount", [directory]);
  rmdirSync(directory);
  return status === 0 ? undefined : `no tmpfs can be mounted: ${stderr.toString().trim()}`;
}

function subdirectories(directory: string): readonly string[] {
  return readdirSync(directory, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(directory, entry.name));
}
