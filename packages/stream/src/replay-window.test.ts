import fc from "fast-check";
import { expect, test } from "vitest";
import { toFrameBytes, type Milestone } from "./record.js";
import { ReplayWindow } from "./replay-window.js";

function milestone(position: number, bytes = 1): Milestone {
  const frame = toFrameBytes("x".repeat(bytes));
  return { topic: "", position, cursor: String(position), frame, ending: false };
}

test("whatever is appended, the window holds the newest events within both bounds, and says what it let go", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 200 }),
      fc.integer({ min: 1, max: 20 }),
      fc.integer({ min: 40, max: 400 }),
      (sizes, maxEvents, maxBytes) => {
        const window = new ReplayWindow({ maxEvents, maxBytes });
        sizes.forEach((bytes, index) => window.append(milestone(index + 1, bytes)));
        const held = sizes.slice(window.trimmed);
        const sum = held.reduce((total, bytes) => total + bytes, 0);
        expect(window.newest).toBe(sizes.length);
        expect(window.bytes).toBe(sum);
        expect(sum).toBeLessThanOrEqual(maxBytes);
        expect(held.length).toBeLessThanOrEqual(maxEvents);
        // Nothing was let go that a bound did not ask for.
        const oldest = sizes[window.trimmed - 1];
        if (oldest !== undefined) expect(held.length === maxEvents || sum + oldest > maxBytes).toBe(true);
        const page = window.page(0);
        expect(page.milestones.map(({ position }) => position)).toEqual(
          held.map((_, i) => window.trimmed + i + 1),
        );
        expect([page.done, page.trimmed?.position ?? 0]).toEqual([true, window.trimmed]);
      },
    ),
  );
});

test("pages follow one another without a hole, and the last one says that it is", () => {
  const window = new ReplayWindow({ maxEvents: 1_000, maxBytes: 1_000 });
  for (let position = 1; position <= 300; position += 1) window.append(milestone(position));
  const seen: number[] = [];
  for (let done = false; !done;) {
    const page = window.page(seen.at(-1) ?? 0);
    seen.push(...page.milestones.map(({ position }) => position));
    done = page.done;
  }
  expect(seen).toEqual(Array.from({ length: 300 }, (_, i) => i + 1));
  expect(window.page(300)).toEqual({ milestones: [], done: true, trimmed: undefined });
});

test("a milestone out of order is refused", () => {
  const window = new ReplayWindow({ maxEvents: 1, maxBytes: 10 });
  expect(() => window.append(milestone(2))).toThrow("got 2, bound 1");
});
