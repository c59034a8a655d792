/**
 * One proxy, running, with one configuration in front of one origin: `standard`, or what `holdfast proxy <name>` prints.
 * Called by: the runs by Node and by browsers.
 */
import { execFile } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { promisify } from "node:util";
import type { ProxyControls } from "./case.js";
import type { Certificate } from "./certificate.js";
import { Child, freePort, makeDirectory } from "./child.js";
import { CLI } from "./origin.js";
import type { Product, Site } from "./products/product.js";

const run = promisify(execFile);

export const STANDARD = "standard";

export interface Deployment {
  readonly url: string;
  readonly controls: ProxyControls;
  readonly stop: () => Promise<void>;
}

/** `config` is a key of `product.ours`, or `standard`. */
export async function deploy(
  product: Product,
  config: string,
  upstreamPort: number,
  { certificate, key }: Certificate,
): Promise<Deployment> {
  const { directory, remove } = makeDirectory();
  const site: Site = {
    directory,
    port: await freePort(),
    innerPort: await freePort(),
    upstreamPort,
    certificate,
    key,
  };
  mkdirSync(directory, { recursive: true });
  const text = config === STANDARD ? product.toStandard(site) : await printOurs(config, site);
  writeFileSync(`${directory}/site.conf`, text);
  for (const [file, { print, inner }] of config === STANDARD ? [] : Object.entries(product.files)) {
    const behind = inner === true ? { ...site, upstreamPort: site.innerPort } : site;
    writeFileSync(`${directory}/${file}`, await printOurs(print, behind));
  }
  const { command, args, innerPort } = product.prepare(site);
  const start = async (): Promise<Child> => {
    const started = new Child(command, args, directory);
    if (innerPort !== undefined) await started.listens(innerPort);
    await started.listens(site.port);
    return started;
  };
  let child = await start();
  const { reload } = product;
  return {
    url: `https://localhost:${site.port}`,
    controls: {
      restart: async () => {
        await child.stop();
        child = await start();
      },
      reload: async () => {
        if (typeof reload === "string") child.tell(reload);
        else await run(reload(site).command, reload(site).args, { cwd: directory });
        await child.listens(site.port);
      },
    },
    stop: async () => {
      await child.stop();
      remove();
    },
  };
}

/** By the command itself, so that what is proven is what people get. */
async function printOurs(
  config: string,
  { directory, port, upstreamPort, certificate, key }: Site,
): Promise<string> {
  const blanks = [
    `--upstream=127.0.0.1:${upstreamPort}`,
    `--port=${port}`,
    `--certificate=${certificate}`,
    `--key=${key}`,
    `--files=${directory}`,
  ];
  const { stdout } = await run(process.execPath, [CLI, "proxy", config, "--domain=localhost", ...blanks]);
  return stdout;
}
