import { CASES, type Outcome } from "./run-cases.js";

/** Prints how many of how many. Returns those that are not as they must be, and how many were asked at all. */
export function tally(place: string, outcomes: readonly Outcome[]): { asked: number; wrong: Outcome[] } {
  const asked = outcomes.length;
  const wrong = outcomes.filter(({ problem }) => problem !== null);
  const beyond = outcomes.filter((outcome) => outcome.beyond && outcome.problem === null).length;
  const notes = [
    ...(beyond === 0 ? [] : [`${beyond} beyond a script`]),
    ...(asked === CASES.length ? [] : [`${CASES.length - asked} more need a browser`]),
  ];
  const passed = asked - wrong.length - beyond;
  console.log(`web-platform-tests, ${place}: ${[`${passed} of ${asked} pass`, ...notes].join(", ")}`);
  return { asked, wrong };
}
