/**
 * Every defect and complaint of clients that we know of, as a server that misbehaves and what must be true all the same. Each runs against the
 * wrapper that people write first, which must fail where the table says that it does, and against StableEventSource, which must not.
 */
import type { Socket } from "node:net";
import { StableEventSource } from "@holdfast/client";
import { afterAll, describe, expect, test } from "vitest";
import { startScriptedServer, type ScriptedServer } from "../harness/scripted-server.js";
import { NaiveSource } from "./naive-source.js";
import { Stage, type AnySource, type OpenSource, type Scenario } from "./scenario.js";
import { ANSWER_SCENARIOS } from "./scenarios-answers.js";
import { STREAM_SCENARIOS } from "./scenarios-streams.js";

const SCENARIOS = [...ANSWER_SCENARIOS, ...STREAM_SCENARIOS];

// Some scenarios measure time: all at once would measure each other.
const AT_ONCE = 16;
const NAIVE_LIMIT_MS = 5000;

const openStable: OpenSource = (url, options) => new StableEventSource(url, options);
const openNaive: OpenSource = (url, { maxRetries, retryDelay }) =>
  new NaiveSource(url, {
    ...(maxRetries === undefined ? {} : { maxRetries }),
    ...(retryDelay === undefined ? {} : { retryDelay }),
  });

/** Rejects where it is not true within the limit. */
async function judge(scenario: Scenario, open: OpenSource, limitMs: number): Promise<void> {
  const { play, options = {}, slam = 0, downForMs = 0 } = scenario;
  const onConnection = (socket: Socket, index: number): void => void (index < slam && socket.destroy());
  const servers = [await startScriptedServer(play, { onConnection })];
  const [server] = servers as [ScriptedServer];
  const sources: AnySource[] = [];
  let timer: NodeJS.Timeout | undefined;
  const openOne = (): AnySource => {
    const source = open(server.url, options);
    sources.push(source);
    return source;
  };
  try {
    if (downForMs > 0) await server.stop();
    const running = scenario.run(new Stage(openOne(), server, openOne));
    if (downForMs > 0) {
      await new Promise((resolve) => {
        setTimeout(resolve, downForMs);
      });
      servers.push(await startScriptedServer(play, { port: server.port }));
    }
    const limit = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`not within ${limitMs} ms`)), limitMs);
    });
    await Promise.race([running, limit]);
  } finally {
    clearTimeout(timer);
    for (const source of sources) {
      if (source instanceof NaiveSource) source.abandon();
      else source.close();
    }
    await Promise.all(servers.map(async (each) => await each.stop()));
  }
}

test("the wrapper fails where the table says so, and lives up to the rest", async () => {
  const outcomes: { scenario: Scenario; problem: string | null }[] = [];
  const waiting = [...SCENARIOS];
  const work = async (): Promise<void> => {
    for (let scenario = waiting.shift(); scenario !== undefined; scenario = waiting.shift()) {
      // What it never does takes the whole limit.
      const problem = await judge(scenario, openNaive, NAIVE_LIMIT_MS).then(
        () => null,
        (error: unknown) => String(error),
      );
      outcomes.push({ scenario, problem });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  const passed = outcomes.filter(({ problem }) => problem === null).length;
  console.log(`scenarios: the naive wrapper passes ${passed} of ${SCENARIOS.length}`);
  const surprising = outcomes.filter(
    ({ scenario, problem }) => scenario.naive !== undefined && scenario.naive !== (problem === null),
  );
  expect(surprising.map(({ scenario, problem }) => `${scenario.name}: ${problem}`)).toEqual([]);
});

describe("StableEventSource", () => {
  let passed = 0;
  test.concurrent.each(SCENARIOS.map((scenario) => [scenario.name, scenario] as const))(
    "%s",
    async (_name, scenario) => {
      await expect(judge(scenario, openStable, 20_000)).resolves.toBeUndefined();
      passed += 1;
    },
  );
  afterAll(() => console.log(`scenarios: StableEventSource passes ${passed} of ${SCENARIOS.length}`));
});
