import { pino, type Logger } from "pino";
import { prettyFactory } from "pino-pretty";
import type { Output } from "./command-io.js";
import type { LogLevel } from "./settings.js";

/** JSON lines, or lines for people on a terminal. Written in place, without a worker: nothing is lost when the process ends. */
export function openLog(output: Output, level: LogLevel): Logger {
  const render =
    output.isTTY === true
      ? prettyFactory({ colorize: true, ignore: "pid,hostname", translateTime: "SYS:HH:MM:ss.l" })
      : undefined;
  return pino(
    { level, base: null },
    { write: (line) => void output.write(render === undefined ? line : render(line)) },
  );
}
