/** Holdfast as it was built, a process of its own, with a heartbeat that the cases can wait for. */
import { fileURLToPath } from "node:url";
import { comesTrue } from "./case.js";
import { Child, makeDirectory } from "./child.js";

export const CLI: string = fileURLToPath(new URL("../packages/cli/dist/bin.js", import.meta.url));

export interface Origin {
  readonly url: string;
  readonly port: number;
  readonly stop: () => Promise<void>;
}

export async function startOrigin(heartbeat: string, flags: readonly string[] = []): Promise<Origin> {
  const { directory, remove } = makeDirectory();
  const args = [
    "serve",
    "--port=0",
    `--data-dir=${directory}`,
    `--heartbeat=${heartbeat}`,
    "--drain-window=100ms",
  ];
  const child = new Child(process.execPath, [CLI, ...args, ...flags], directory);
  let url: string | undefined;
  await comesTrue(async () => {
    if (child.exited) throw new Error(`holdfast serve ended: ${child.output}`);
    url = /Holdfast is up at (https?:\/\/[^\s"\\]+)/.exec(child.output)?.[1];
    return url !== undefined;
  }, 30_000);
  if (url === undefined) throw new Error(`holdfast serve was not up within 30 s: ${child.output}`);
  const stop = async (): Promise<void> => {
    await child.stop();
    remove();
  };
  return { url, port: Number(new URL(url).port), stop };
}
