/**
 * The `holdfast` command: which word runs what. Commands are imported when they run, so that help answers without loading a server.
 * Returns the exit code: 0 done, 1 failed, 2 wrongly called.
 */
import { readFileSync } from "node:fs";
import type { CommandIo } from "./command-io.js";
import { serveHelp, USAGE } from "./help.js";
import { suggestName } from "./nearest-name.js";
import { UsageError } from "./usage-error.js";

interface Command {
  readonly help: () => string | Promise<string>;
  readonly run: (args: readonly string[], io: CommandIo) => Promise<number>;
}

const COMMANDS: { readonly [name: string]: Command } = {
  serve: {
    help: serveHelp,
    run: async (args, io) => (await import("./serve.js")).serve(args, io),
  },
  doctor: {
    help: async () => (await import("./doctor/command.js")).doctorHelp(),
    run: async (args, io) => (await import("./doctor/command.js")).doctor(args, io),
  },
  proxy: {
    help: async () => (await import("./proxy.js")).proxyHelp(),
    run: async (args, io) => (await import("./proxy.js")).proxy(args, io),
  },
  token: {
    help: async () => (await import("./token.js")).tokenHelp(),
    run: async (args, io) => (await import("./token.js")).token(args, io),
  },
};

export async function main(args: readonly string[], io: CommandIo = processIo()): Promise<number> {
  try {
    return await dispatch(args, io);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    io.stderr.write(`holdfast: ${error.message}\n`);
    return 2;
  }
}

async function dispatch([word, ...rest]: readonly string[], io: CommandIo): Promise<number> {
  if (word === "version" || word === "--version") {
    io.stdout.write(`${readVersion()}\n`);
    return 0;
  }
  if (word === undefined || word === "--help" || word === "-h" || (word === "help" && rest.length === 0)) {
    io.stdout.write(USAGE);
    return 0;
  }
  const name = word === "help" ? (rest[0] ?? "") : word;
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined) {
    throw new UsageError(
      `unknown command ${name}: ${suggestName(name, [...Object.keys(COMMANDS), "help", "version"])}`,
    );
  }
  if (word === "help" || rest.includes("--help") || rest.includes("-h")) {
    io.stdout.write(await command.help());
    return 0;
  }
  return await command.run(rest, io);
}

function readVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
  return typeof manifest === "object" && manifest !== null && "version" in manifest
    ? String(manifest.version)
    : "unknown";
}

function processIo(): CommandIo {
  return {
    env: process.env,
    stdout: process.stdout,
    stderr: process.stderr,
    signals: process,
    exit: (code) => process.exit(code),
  };
}
