/** Runs every case of the suite in the place where it is called. Called by: Node's test, and the bundle in pages and workers. */
import { Trial, type Surroundings } from "./trial.js";
import type { WptCase } from "./wpt-case.js";
import { FORMAT_CASES } from "./wpt-format-cases.js";
import { INTERFACE_CASES } from "./wpt-interface-cases.js";
import { REQUEST_CASES } from "./wpt-request-cases.js";

export interface Outcome {
  readonly name: string;
  readonly beyond: boolean;
  /** Null: as it must be. */
  readonly problem: string | null;
}

export const CASES: readonly WptCase[] = [...INTERFACE_CASES, ...FORMAT_CASES, ...REQUEST_CASES];

// A browser opens six connections to a host; one is left for what the page itself loads.
const AT_ONCE = 5;

/** Longest first, so that the ones that wait three seconds do not wait for each other. */
const inOrder = (cases: readonly WptCase[]): WptCase[] =>
  cases.toSorted((a, b) => Number(b.file.includes("retry")) - Number(a.file.includes("retry")));

async function runCase(
  { file, subtest, beyond, run }: WptCase,
  surroundings: Surroundings,
): Promise<Outcome> {
  const outcome = { name: subtest === "" ? file : `${file}: ${subtest}`, beyond: beyond !== undefined };
  try {
    await new Trial(surroundings).run(run);
    return { ...outcome, problem: null };
  } catch (error) {
    return { ...outcome, problem: error instanceof Error ? error.message : String(error) };
  }
}

export async function runCases(surroundings: Surroundings, inBrowser: boolean): Promise<readonly Outcome[]> {
  const waiting = inOrder(CASES.filter(({ browserOnly }) => inBrowser || browserOnly !== true));
  const outcomes: Outcome[] = [];
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      outcomes.push(await runCase(next, surroundings));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return outcomes;
}
