/** One configuration of one proxy through all cases, by node's clients, once for each HTTP version it offers. */
import type { Way } from "./case.js";
import { makeCertificate } from "./certificate.js";
import { freePort } from "./child.js";
import { closingAll, makeTemporary, type Closing } from "./closing.js";
import { deploy, STANDARD } from "./deployment.js";
import { openLine, type Line, type Version } from "./line.js";
import { startOrigin, type Origin } from "./origin.js";
import type { Product } from "./products/product.js";
import { runCases, runSilentCases, type Outcome } from "./run-cases.js";

export interface Form {
  readonly whole: boolean;
}

export interface RunOutcome {
  readonly proxy: string;
  /** `standard`, or the name that `holdfast proxy` knows it by. */
  readonly config: string;
  readonly client: "node" | "chromium" | "firefox";
  readonly http: Version;
  readonly outcomes: readonly Outcome[];
  /** Case → why no configuration of this proxy can keep it. */
  readonly cannot?: { readonly [name: string]: string };
}

/** The name of the way on which nothing stands. */
export const DIRECT = "none";

const MIB = 1_048_576;
const HEARTBEAT_MS = 1_000;
// More than 75 s, at which people say that a connection is idle, and less than the next heartbeat of the silent origin.
const IDLE_MS = 76_000;

export async function runByNode(
  product: Product,
  config: string,
  { whole }: Form,
): Promise<readonly RunOutcome[]> {
  return await closingAll(async (closing) => {
    const certificate = makeCertificate(makeTemporary(closing));
    const through = async (upstreamPort: number): ReturnType<typeof deploy> => {
      const deployment = await deploy(product, config, upstreamPort, certificate);
      closing.push(deployment.stop);
      return deployment;
    };
    const { origin, silentOrigin } = await startOrigins(closing, whole);
    const main = await through(origin.port);
    const orphan = await through(await freePort());
    const silent = silentOrigin && (await through(silentOrigin.port));
    const line = toLines(closing);
    const versions = (config === STANDARD ? product.standard : product.ours[config]) ?? [];
    return await runEach(versions, (http) => ({
      name: {
        proxy: product.name,
        config,
        client: "node",
        http,
        ...(product.cannot && { cannot: product.cannot }),
      },
      toWay: () => ({
        line: line(main.url, http),
        origin: line(origin.url),
        heartbeatMs: HEARTBEAT_MS,
        largeBytes: toLargeBytes(whole),
        proxy: main.controls,
        orphan: line(orphan.url, http),
        ...(silent && silentOrigin && { silent: toSilent(line(silent.url, http), line(silentOrigin.url)) }),
      }),
    }));
  });
}

/** The same cases with nothing between: what a proxy is compared with. In the clear, then over TLS. */
export async function runDirect({ whole }: Form): Promise<readonly RunOutcome[]> {
  return await closingAll(async (closing) => {
    const { certificate, key } = makeCertificate(makeTemporary(closing));
    const line = toLines(closing);
    const kinds = [
      { config: "direct", ...(await startOrigins(closing, whole)) },
      {
        config: "direct, TLS",
        ...(await startOrigins(closing, whole, [`--tls-cert=${certificate}`, `--tls-key=${key}`])),
      },
    ];
    return await runEach(kinds, ({ config, origin, silentOrigin }) => ({
      name: { proxy: DIRECT, config, client: "node", http: "1.1" },
      toWay: () => ({
        line: line(origin.url),
        origin: line(origin.url),
        heartbeatMs: HEARTBEAT_MS,
        largeBytes: toLargeBytes(whole),
        ...(silentOrigin && { silent: toSilent(line(silentOrigin.url), line(silentOrigin.url)) }),
      }),
    }));
  });
}

/** One after another, save for the minute of silence, which all of them wait for at once. */
async function runEach<Kind>(
  kinds: readonly Kind[],
  plan: (kind: Kind) => { readonly name: Omit<RunOutcome, "outcomes">; readonly toWay: () => Way },
): Promise<readonly RunOutcome[]> {
  const plans = kinds.map((kind) => {
    const { name, toWay } = plan(kind);
    return { name, toWay, silent: runSilentCases(toWay()) };
  });
  const runs: RunOutcome[] = [];
  for (const { name, toWay, silent } of plans)
    runs.push({ ...name, outcomes: [...(await runCases(toWay)), ...(await silent)] });
  return runs;
}

function toSilent(line: Line, origin: Line): NonNullable<Way["silent"]> {
  return { line, origin, idleMs: IDLE_MS };
}

async function startOrigins(
  closing: Closing,
  whole: boolean,
  flags: readonly string[] = [],
): Promise<{ readonly origin: Origin; readonly silentOrigin: Origin | undefined }> {
  const origin = await startOrigin(`${HEARTBEAT_MS}ms`, flags);
  closing.push(origin.stop);
  const silentOrigin = whole ? await startOrigin("10min", flags) : undefined;
  if (silentOrigin !== undefined) closing.push(silentOrigin.stop);
  return { origin, silentOrigin };
}

function toLines(closing: Closing): (url: string, version?: Version) => Line {
  return (url, version = "1.1") => {
    const line = openLine(url, version);
    closing.push(line.close);
    return line;
  };
}

function toLargeBytes(whole: boolean): number {
  return (whole ? 128 : 16) * MIB;
}
