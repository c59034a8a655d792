/**
 * `holdfast serve`: the embedded server with settings from outside, a log, the page, and an orderly end.
 *
 * Promises: one line with the URL once it answers; SIGTERM or SIGINT closes once, telling every stream when to come back, and gives 0;
 * a second signal ends the process at once with 1; what hinders the start is one line on stderr and 1, never a stack trace.
 * Called by: main.ts.
 */
import { readFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { createHoldfast, HoldfastError, OptionError, type Holdfast } from "@holdfast/server";
import type { CommandIo } from "./command-io.js";
import { parseFlags } from "./flags.js";
import { openLog } from "./log.js";
import { findPageDir } from "./page-dir.js";
import { toServerOptions } from "./server-options.js";
import { resolveSettings } from "./setting-sources.js";
import { SETTINGS } from "./settings.js";
import { UsageError } from "./usage-error.js";

/** Runs until a signal; returns the exit code. Throws UsageError. */
export async function serve(args: readonly string[], io: CommandIo): Promise<number> {
  const kinds = Object.fromEntries(Object.entries(SETTINGS).map(([name, { kind }]) => [name, kind]));
  const { values, positionals } = parseFlags(args, kinds);
  if (positionals.length > 0) throw new UsageError(`serve takes flags only: got ${positionals.join(" ")}`);
  const settings = resolveSettings({
    flags: values,
    env: io.env,
    readFile: (path) => readFileSync(path, "utf8"),
  });
  const logger = openLog(io.stdout, settings["log-level"]);
  const pageDir = findPageDir();
  const options = toServerOptions(settings, { logger, pageDir });
  letBodiesPass();
  // Before anything is opened, so that a signal during the start is not lost.
  const stop = listenForStop(io);
  let holdfast: Holdfast | undefined;
  try {
    holdfast = await createHoldfast(options);
    const { url } = await holdfast.listen();
    if (pageDir === null) logger.warn("the page was not built: / answers 404; npm run build makes it");
    // The one line that is printed at every level: people and scripts wait for it.
    logger
      .child({}, { level: "info" })
      .info({ url, dataDir: settings["data-dir"] }, `Holdfast is up at ${url}`);
    await untilAborted(stop.asked);
    logger.info({ signal: String(stop.asked.reason) }, "closing: streams are told when to come back");
    await holdfast.close();
    return 0;
  } catch (error) {
    logger.debug({ err: error }, "start or close failed");
    io.stderr.write(`holdfast: ${describeFailure(error)}\n`);
    await holdfast
      ?.close()
      .catch((cause: unknown) => logger.debug({ err: cause }, "closing after the failure failed too"));
    return 1;
  } finally {
    stop.release();
  }
}

/**
 * V8 counts every read of a socket as external memory and marks the whole heap each time that has grown by about 30 MB, which is
 * several times a second while a large upload runs and takes up to a third of its speed. With room to grow it marks a tenth as often;
 * the process holds about 40 MiB more. A host that embeds the server decides for itself. Measured by `npm run bench`.
 */
function letBodiesPass(): void {
  setFlagsFromString("--heap-growing-percent=300");
}

/** One line: what was refused and what helps. */
export function describeFailure(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const line = message.replaceAll(/\s*\n\s*/g, " ");
  // These two were written for people; anything else is named for what it is.
  return error instanceof OptionError || error instanceof HoldfastError ? line : `could not go on: ${line}`;
}

interface Stop {
  /** Aborted by the first signal; the reason is its name. */
  readonly asked: AbortSignal;
  readonly release: () => void;
}

function listenForStop({ signals, exit }: CommandIo): Stop {
  const controller = new AbortController();
  const hear = (name: string): void => {
    if (controller.signal.aborted) exit(1);
    controller.abort(name);
  };
  const onTerm = (): void => hear("SIGTERM");
  const onInt = (): void => hear("SIGINT");
  signals.on("SIGTERM", onTerm);
  signals.on("SIGINT", onInt);
  const release = (): void => {
    signals.off("SIGTERM", onTerm);
    signals.off("SIGINT", onInt);
  };
  return { asked: controller.signal, release };
}

async function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
