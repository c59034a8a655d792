import fc from "fast-check";
import { expect, test } from "vitest";
import { CursorClock, type ClockState } from "./cursor-clock.js";

test("over any number of crashes no position is drawn twice and times never go back", () => {
  // What survives a crash is whatever had been stored last: the block always, the newest commit or an older one.
  const life = fc.record({
    draws: fc.integer({ min: 0, max: 40 }),
    lost: fc.integer({ min: 0, max: 40 }),
    step: fc.integer({ min: -5_000, max: 5_000 }),
  });
  fc.assert(
    fc.property(fc.array(life, { minLength: 1, maxLength: 12 }), (lives) => {
      let state: ClockState = { newest: 0, newestMs: 0, reserved: 0, holes: [] };
      let nowMs = 1_000_000;
      const drawn = new Set<number>();
      for (const { draws, lost, step } of lives) {
        nowMs += step;
        const clock = new CursorClock("e", state, () => nowMs);
        const committed = [];
        let { reserved } = state;
        for (let i = 0; i < draws; i += 1) {
          if (clock.needsBlock(1)) {
            reserved = clock.nextBlock(1);
            clock.reserve(reserved);
          }
          const mark = clock.draw();
          expect(drawn.has(mark.position)).toBe(false);
          drawn.add(mark.position);
          clock.committed(mark);
          committed.push(mark);
          expect(clock.locate(mark.cursor)).toBe(mark.position);
        }
        const times = committed.map(({ cursor }) => Number(cursor.split("-")[1]));
        expect(times).toEqual(times.toSorted((a, b) => a - b));
        const kept = committed.slice(0, Math.max(0, committed.length - lost));
        const forgotten = committed.slice(kept.length);
        const newest = kept.at(-1);
        state = {
          newest: newest?.position ?? state.newest,
          newestMs: newest === undefined ? state.newestMs : Number(newest.cursor.split("-")[1]),
          reserved,
          holes: clock.holes,
        };
        const reopened = new CursorClock("e", state, () => nowMs);
        for (const mark of kept) expect(reopened.locate(mark.cursor)).toBe(mark.position);
        // A commit that the disk lost is not ours any more, also when newer ones follow.
        reopened.committed(reopened.draw());
        for (const mark of forgotten) expect(reopened.locate(mark.cursor)).toBeUndefined();
      }
    }),
  );
});
