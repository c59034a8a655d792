/**
 * A channel under arbitrary walks: whatever is published, held up, dropped and resumed, its reader knows what it has.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import { Channel } from "./channel.js";
import { ManualClock } from "./testing/manual-clock.js";
import { PaperSink } from "./testing/paper-sink.js";

/** Lets the gates read their history, which is at hand. */
async function settle(): Promise<void> {
  for (let i = 0; i < 40; i += 1) await Promise.resolve();
}

/** A reader over several connections: it notes what it hears and comes back with its last id, as an EventSource does. */
class Reader {
  readonly heard: string[] = [];
  lastEventId = "";
  sink = new PaperSink();
  #read = 0;

  /** Takes what has arrived. */
  hear(): void {
    for (const frame of this.sink.frames.slice(this.#read)) {
      const id = /^id: e-(\d+)$/m.exec(frame)?.[1];
      const event = /^event: (.*)$/m.exec(frame)?.[1];
      if (id !== undefined) this.lastEventId = `e-${id}`;
      if (event === "m") this.heard.push(`m${id}`);
      if (event === "gap") this.heard.push(`gap${id}`);
    }
    this.#read = this.sink.frames.length;
  }

  /** The connection breaks: what is queued never arrives. */
  drop(unread: number): void {
    const lost = this.sink.stalled ? Math.min(unread, this.sink.frames.length - this.#read) : 0;
    this.sink.frames.length -= lost;
    this.hear();
    this.sink.destroy();
  }

  connect(channel: Channel<string>, state = ""): void {
    this.sink = new PaperSink();
    this.#read = 0;
    channel.attach(this.sink, { lastEventId: this.lastEventId, state });
  }

  /** Reads at last, and comes back as often as it is closed for having been slow. */
  async catchUp(channel: Channel<string>, state = ""): Promise<void> {
    for (let attempt = 0; attempt < 3; attempt += 1) {
      this.sink.read();
      await settle();
      this.hear();
      if (this.sink.destroyed || this.sink.ended) this.connect(channel, state);
    }
  }
}

test("whatever is published, dropped and resumed: every event once and in order, or a gap that covers it", async () => {
  const step = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({ kind: fc.constant("publish" as const), bytes: fc.integer({ min: 0, max: 90 }) }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ kind: fc.constant("batch" as const), count: fc.integer({ min: 1, max: 12 }) }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom(...(["update", "settle"] as const)) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom(...(["stall", "read"] as const)) }) },
    {
      weight: 2,
      arbitrary: fc.record({ kind: fc.constant("drop" as const), unread: fc.integer({ min: 0, max: 5 }) }),
    },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 80 }), async (steps) => {
      const clock = new ManualClock();
      const bounds = { historyEvents: 8, historyBytes: 1_000, maxQueueBytes: 300 };
      const channel = new Channel<string>({ clock, epoch: "e", ...bounds });
      const reader = new Reader();
      reader.connect(channel);
      reader.hear(); // who has heard nothing at all begins anew
      let published = 0;
      const publish = (bytes: number): void => {
        channel.publish("m", "x".repeat(bytes), { topic: "t" });
        published += 1;
      };
      for (const taken of steps) {
        if (taken.kind === "publish") publish(taken.bytes);
        else if (taken.kind === "batch")
          channel.batch(() => {
            for (let i = 0; i < taken.count; i += 1) publish(5);
          });
        else if (taken.kind === "update") channel.update("t", "p", published);
        else if (taken.kind === "settle") await settle();
        else if (taken.kind === "stall") reader.sink.stalled = true;
        else if (taken.kind === "read") reader.sink.read();
        else if (taken.kind === "drop") {
          reader.drop(taken.unread);
          reader.connect(channel);
        }
        clock.advance(50);
      }
      await reader.catchUp(channel);
      let position = 0;
      for (const heard of reader.heard) {
        const [, kind, id] = /^(m|gap)(\d+)$/.exec(heard) ?? [];
        if (kind === "m") expect(Number(id)).toBe(position + 1);
        else expect(Number(id)).toBeGreaterThan(position);
        position = Number(id);
      }
      expect(position).toBe(published);
      expect(channel.size).toBe(1);
    }),
    { numRuns: 300 },
  );
});

test("whatever is published to whom: a reader hears what is for it, once and in order, or a gap that covers it, and nothing else", async () => {
  const who = fc.constantFrom(...(["a", "b"] as const));
  const step = fc.oneof(
    {
      weight: 8,
      arbitrary: fc.record({
        kind: fc.constant("publish" as const),
        to: fc.constantFrom("a", "b", "both", "none"),
        bytes: fc.integer({ min: 0, max: 90 }),
        ending: fc.boolean(),
      }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom(...(["update", "settle"] as const)) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("stall" as const), who }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("read" as const), who }) },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant("drop" as const),
        who,
        unread: fc.integer({ min: 0, max: 5 }),
      }),
    },
  );
  const names = ["a", "b"] as const;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 80 }), fc.boolean(), async (steps, small) => {
      const clock = new ManualClock();
      const bounds = small ? { historyEvents: 8, historyBytes: 1_000, maxQueueBytes: 300 } : {};
      const channel = new Channel<string>({ clock, epoch: "e", ...bounds });
      const readers = { a: new Reader(), b: new Reader() };
      const addressed: { readonly [name in "a" | "b"]: number[] } = { a: [], b: [] };
      for (const name of names) {
        readers[name].connect(channel, name);
        readers[name].hear();
      }
      let published = 0;
      for (const taken of steps) {
        if (taken.kind === "publish") {
          const { to, ending } = taken;
          published += 1;
          for (const name of names) if (to === "both" || to === name) addressed[name].push(published);
          const filter = (state: string | undefined): boolean => to === state;
          channel.publish("m", "x".repeat(taken.bytes), {
            topic: "t",
            ending,
            ...(to !== "both" && { filter }),
          });
        } else if (taken.kind === "update") channel.update("t", "p", published);
        else if (taken.kind === "settle") await settle();
        else if (taken.kind === "stall") readers[taken.who].sink.stalled = true;
        else if (taken.kind === "read") readers[taken.who].sink.read();
        else if (taken.kind === "drop") {
          readers[taken.who].drop(taken.unread);
          readers[taken.who].connect(channel, taken.who);
        }
        clock.advance(50);
      }
      for (const name of names) {
        const reader = readers[name];
        await reader.catchUp(channel, name);
        const missing = new Set(addressed[name]);
        let position = 0;
        for (const heard of reader.heard) {
          const [, kind, id] = /^(m|gap)(\d+)$/.exec(heard) ?? [];
          expect(Number(id)).toBeGreaterThan(position);
          position = Number(id);
          if (kind === "m") expect(missing.delete(position)).toBe(true);
          else for (const lost of missing) if (lost <= position) missing.delete(lost);
          for (const left of missing) expect(left).toBeGreaterThan(position);
        }
        expect([...missing]).toEqual([]);
        if (!small) expect(reader.heard.filter((heard) => heard.startsWith("gap"))).toEqual([]);
      }
    }),
    { numRuns: 300 },
  );
});
