/** Runs every case of a way, and keeps what was seen. A case that throws has failed with its message. */
import type { Case, Sighting, Way } from "./case.js";
import { LONE_CASES, SHARED_CASES, SILENT_CASES } from "./cases.js";

export interface Outcome extends Sighting {
  readonly case: string;
}

/** All but the silent ones. `toWay` makes one with connections of its own for each case: a client is no neighbour of another. */
export async function runCases(toWay: () => Way): Promise<readonly Outcome[]> {
  const outcomes = await Promise.all(SHARED_CASES.map(async (one) => await look(one, toWay())));
  const way = toWay();
  for (const one of LONE_CASES) if (applies(one, way)) outcomes.push(await look(one, way));
  return outcomes;
}

/** On a way of their own, so that they may run beside all others. */
export async function runSilentCases(way: Way): Promise<readonly Outcome[]> {
  const cases = SILENT_CASES.filter((one) => applies(one, way));
  return await Promise.all(cases.map(async (one) => await look(one, way)));
}

function applies({ needs }: Case, way: Way): boolean {
  return needs === undefined || way[needs] !== undefined;
}

async function look({ name, run }: Case, way: Way): Promise<Outcome> {
  try {
    return { case: name, ...(await run(way)) };
  } catch (error) {
    return { case: name, ok: false, seen: error instanceof Error ? error.message : String(error) };
  }
}
