/** `did you mean --port?`, or every name there is. `known` is not empty. */
export function suggestName(got: string, known: readonly string[]): string {
  let nearest = "";
  let fewest = Infinity;
  for (const name of known) {
    const edits = countEdits(got.toLowerCase(), name.toLowerCase());
    if (edits < fewest) [nearest, fewest] = [name, edits];
  }
  // More edits than a third of the name is another word, not a slip.
  return fewest <= Math.max(2, Math.floor(nearest.length / 3))
    ? `did you mean ${nearest}?`
    : `known are ${known.join(", ")}`;
}

/** Levenshtein distance. */
function countEdits(from: string, to: string): number {
  let above = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let row = 1; row <= from.length; row++) {
    const here = [row];
    for (let column = 1; column <= to.length; column++) {
      const replaced = (above[column - 1] ?? 0) + (from[row - 1] === to[column - 1] ? 0 : 1);
      here.push(Math.min(replaced, (above[column] ?? 0) + 1, (here[column - 1] ?? 0) + 1));
    }
    above = here;
  }
  return above[to.length] ?? 0;
}
