/**
 * Other runtimes, from npm: the packages that carry the binary itself, so that no script downloads one. They weigh 500 MB, which nobody should wait for
 * with `npm ci`; they are installed once, into node_modules/.cache. Called by: everywhere.test.ts.
 */
import { execFileSync } from "node:child_process";
import { arch, platform } from "node:process";
import { fileURLToPath } from "node:url";

export interface Runtime {
  readonly name: string;
  /** The script's path follows. */
  readonly command: readonly string[];
}

interface Source {
  readonly runtime: string;
  /** The package for this machine. */
  readonly package: string;
  readonly version: string;
  readonly binary: string;
  readonly args?: readonly string[];
}

const [bunArch, denoArch] = arch === "arm64" ? ["aarch64", "arm64"] : [arch, arch];

const SOURCES: readonly Source[] = [
  { runtime: "Node", package: `node-${platform}-${arch}`, version: "22.23.3", binary: "bin/node" },
  { runtime: "Node", package: `node-${platform}-${arch}`, version: "24.21.0", binary: "bin/node" },
  { runtime: "Bun", package: `@oven/bun-${platform}-${bunArch}`, version: "1.4.5", binary: "bin/bun" },
  {
    runtime: "Deno",
    package: `@deno/${platform}-${denoArch}-glibc`,
    version: "2.9.6",
    binary: "deno",
    args: ["run", "--allow-net", "--allow-read", "--allow-env"],
  },
];

const alias = ({ runtime, version }: Source): string => `${runtime.toLowerCase()}-${version}`;

/** Throws where npm does, and so on a machine that these packages were not made for. */
export function installRuntimes(): readonly Runtime[] {
  const prefix = fileURLToPath(new URL("../../node_modules/.cache/holdfast-runtimes/", import.meta.url));
  const wanted = SOURCES.map((source) => `${alias(source)}@npm:${source.package}@${source.version}`);
  execFileSync(
    "npm",
    ["install", `--prefix=${prefix}`, "--no-audit", "--no-fund", "--ignore-scripts", ...wanted],
    {
      stdio: "inherit",
    },
  );
  return SOURCES.map((source) => ({
    name: `${source.runtime} ${source.version}`,
    command: [`${prefix}node_modules/${alias(source)}/${source.binary}`, ...(source.args ?? [])],
  }));
}
