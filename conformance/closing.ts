/** What a run opens, it closes: the last first, also when it throws. */
import { makeDirectory } from "./child.js";

export type Closing = (() => Promise<void> | void)[];

export async function closingAll<Value>(use: (closing: Closing) => Promise<Value>): Promise<Value> {
  const closing: Closing = [];
  try {
    return await use(closing);
  } finally {
    for (const close of closing.toReversed()) await close();
  }
}

export function makeTemporary(closing: Closing): string {
  const { directory, remove } = makeDirectory();
  closing.push(remove);
  return directory;
}
