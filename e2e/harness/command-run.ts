/** A command line tool, as a person would run it: its output, and how it ended. Bounded in time. */
import { spawn } from "node:child_process";

export interface CommandResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export async function runCommand(
  file: string,
  args: readonly string[],
  { maxMs = 60_000 }: { readonly maxMs?: number } = {},
): Promise<CommandResult> {
  return await new Promise((resolve, reject) => {
    const child = spawn(file, args, { stdio: ["ignore", "pipe", "pipe"] });
    const output = { stdout: "", stderr: "" };
    child.stdout.on("data", (chunk: Buffer) => void (output.stdout += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => void (output.stderr += chunk.toString()));
    const timer = setTimeout(() => child.kill("SIGKILL"), maxMs);
    child.once("error", reject);
    child.once("close", (code) => {
      clearTimeout(timer);
      resolve({ code, ...output });
    });
  });
}
