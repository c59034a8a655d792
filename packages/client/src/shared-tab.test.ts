import type { Task, TaskId } from "@holdfast/protocol";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FakeBrowser, type FakeTab } from "./fake-browser.test.kit.js";
import type { FeedView } from "./feed-reader.js";
import type { StreamMessageEvent } from "./stream-event.js";
import type { SharedSource } from "./shared-source.js";
import { taskId } from "./task.test.kit.js";

const TASKS = ["a", "b", "c", "d"];

interface Watched {
  readonly tab: FakeTab;
  readonly ids: readonly TaskId[];
  readonly source: SharedSource;
  readonly heard: {
    readonly type: string;
    readonly id: string;
    readonly data: { readonly taskId?: string; readonly timestamp?: number; readonly task?: Task };
  }[];
}

/** One task, several, or with no name the batch of all. */
function watch(tab: FakeTab, ...names: readonly string[]): Watched {
  const ids = names.map(taskId);
  const heard: Watched["heard"] = [];
  const [first, ...others] = ids;
  const view: FeedView =
    first === undefined
      ? { kind: "batch" }
      : others.length === 0
        ? { kind: "task", id: first }
        : { kind: "tasks", ids: new Set(ids) };
  const source: SharedSource = tab.shared.open({
    feed: view.kind === "batch" ? "batch:b" : "tasks",
    view,
    onAny: ({ type, lastEventId, data }: StreamMessageEvent) => {
      heard.push({ type, id: lastEventId, data: JSON.parse(data) as Watched["heard"][number]["data"] });
      // As a watch does.
      if (type === (view.kind === "task" ? "complete" : "batchComplete")) source.close();
    },
  });
  return { tab, ids, source, heard };
}

const sequenceOf = (cursor: string): number => Number(cursor.split("-")[2]);

/** The promise: of each task, from its first snapshot on, each milestone once and in order, and the ending once. */
function check({ ids, heard }: Watched, { server }: FakeBrowser): void {
  const connected = heard.filter(({ type }) => type === "connected");
  // Several tasks are greeted anew when the greeting was cut.
  if (ids.length === 1) expect(connected).toHaveLength(1);
  else expect(connected).not.toHaveLength(0);
  for (const id of ids.length === 0 ? TASKS.map(taskId) : ids) {
    const told = heard.filter(
      ({ type, data }) => data.taskId === id && (type === "stage" || type === "complete"),
    );
    const begun = heard.slice(heard.findLastIndex(({ type }) => type === "connected"));
    const snapshot = begun.find(({ data }) => data.task?.id === id)?.data.task;
    const shown = sequenceOf(snapshot?.cursor ?? "");
    const first = Math.min(
      shown + 1,
      ...told.filter(({ type }) => type === "stage").map((one) => sequenceOf(one.id)),
    );
    const due = server.log.filter((one) => one.id === id && (one.sequence >= first || one.ending));
    expect(told.map(({ type, data }) => `${type} ${data.timestamp ?? ""}`)).toEqual(
      due.map(({ ending, sequence }) => `${ending ? "complete" : "stage"} ${sequence}`),
    );
  }
}

type Mishap = "miss" | "freeze" | "thaw" | "crash" | "close" | "rest" | "wake" | "unwatch";

type TabStep =
  | { readonly kind: Mishap | "watchBatch"; readonly tab: number }
  | { readonly kind: "watch"; readonly tab: number; readonly tasks: readonly string[] };

type WorldStep =
  | { readonly kind: "deliver"; readonly n: number }
  | { readonly kind: "commit"; readonly task: string; readonly ending: boolean }
  | { readonly kind: "open" | "cut" }
  | { readonly kind: "advance"; readonly ms: number };

const step: fc.Arbitrary<TabStep | WorldStep> = fc.oneof(
  { weight: 12, arbitrary: fc.record({ kind: fc.constant("deliver"), n: fc.nat(40) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("commit"),
      task: fc.constantFrom(...TASKS),
      // Rarer than what comes before it.
      ending: fc.integer({ min: 0, max: 5 }).map((n) => n === 0),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("watch"),
      tab: fc.nat(9),
      tasks: fc.uniqueArray(fc.constantFrom(...TASKS), { minLength: 1, maxLength: 3 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom("open", "cut") }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("watchBatch"), tab: fc.nat(9) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom<Mishap[]>("miss", "freeze", "thaw", "crash", "close", "rest", "wake", "unwatch"),
      tab: fc.nat(9),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("advance"), ms: fc.constantFrom(1000, 3000, 7000, 70_000) }),
  },
);

/** Tabs, and what is watched in them. */
class World {
  readonly browser: FakeBrowser = new FakeBrowser();
  watches: Watched[] = [watch(this.browser.open(), "a"), watch(this.browser.open(), "a", "b")];

  async take(next: TabStep | WorldStep): Promise<void> {
    const { browser } = this;
    if ("tab" in next) {
      const tab = browser.alive[next.tab % Math.max(1, browser.alive.length)];
      if (tab !== undefined) this.#touch(tab, next);
      return;
    }
    switch (next.kind) {
      case "deliver":
        await browser.deliver(next.n);
        break;
      case "commit":
        browser.server.commit(taskId(next.task), next.ending);
        break;
      case "open":
        if (browser.alive.length < 6) this.watches.push(watch(browser.open(), "b"));
        break;
      case "cut":
        for (const connection of browser.server.connections) connection.cut();
        break;
      case "advance":
        await browser.advance(next.ms);
        break;
    }
  }

  #touch(tab: FakeTab, next: TabStep): void {
    if (tab.frozen && next.kind !== "thaw" && next.kind !== "crash") return;
    switch (next.kind) {
      case "watch":
        this.watches.push(watch(tab, ...next.tasks));
        break;
      case "watchBatch":
        this.watches.push(watch(tab));
        break;
      case "unwatch": {
        const given = this.watches.find((one) => one.tab === tab && one.source.readyState !== 2);
        given?.source.close();
        this.watches = this.watches.filter((one) => one !== given);
        break;
      }
      case "miss":
        tab.miss();
        break;
      case "freeze":
        tab.frozen = true;
        break;
      case "thaw":
        tab.frozen = false;
        break;
      case "crash":
        tab.crash();
        break;
      case "close":
        tab.close();
        break;
      case "rest":
        tab.rest();
        break;
      case "wake":
        tab.wake();
        break;
    }
  }

  /** Everybody is back, and all that waits has come. */
  async settle(): Promise<void> {
    const { browser } = this;
    for (const tab of browser.alive) {
      tab.frozen = false;
      tab.wake();
    }
    await browser.settle();
    for (let s = 0; s < 20; s++) {
      await browser.advance(1500);
      await browser.settle();
    }
  }
}

describe("whatever the tabs go through", () => {
  test("each hears every milestone of its tasks once and in order, and every ending once, over one connection", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 120, size: "max" }), async (steps) => {
        const world = new World();
        const { browser } = world;
        for (const next of steps) {
          await world.take(next);
          await browser.deliver(0);
        }
        await world.settle();
        for (const name of TASKS) browser.server.commit(taskId(name), false);
        await browser.settle();
        for (const name of TASKS.slice(0, 2)) browser.server.commit(taskId(name), true);
        await browser.settle();
        for (const one of world.watches) if (!one.tab.gone) check(one, browser);
        const feeds = [...browser.server.connections].map(({ feed }) => feed);
        expect(feeds).toEqual([...new Set(feeds)]);
        const leading = browser.alive.filter(({ shared }) => shared.leading);
        expect(leading).toHaveLength(Math.min(1, browser.alive.length));
      }),
      { numRuns: 60 },
    );
  }, 60_000);
});

describe("ten tabs with ten tasks each", () => {
  const open = async (): Promise<World> => {
    const world = new World();
    world.watches = [];
    for (let t = 0; t < 10; t++) {
      const tab = world.browser.tabs[t] ?? world.browser.open();
      for (let n = 0; n < 10; n++) world.watches.push(watch(tab, `t${t}-${n}`));
    }
    return world;
  };

  test("have one connection, and made few on the way to it", async () => {
    const { browser, watches } = await open();
    await browser.settle();
    expect(watches.every(({ source }) => source.joined)).toBe(true);
    expect(browser.server.connections.size).toBe(1);
    expect(browser.server.opened).toBeLessThanOrEqual(4);
  });

  test("ten tasks added in one turn make one new connection", async () => {
    const { browser } = await open();
    await browser.settle();
    const { opened } = browser.server;
    const [tab] = browser.tabs.slice(-1);
    const more = Array.from({ length: 10 }, (_, n) => watch(tab ?? browser.open(), `more${n}`));
    await browser.settle();
    expect(more.every(({ source }) => source.joined)).toBe(true);
    expect(browser.server.opened).toBe(opened + 1);
  });

  test("a leader whose timers the browser holds back is never taken for dead", async () => {
    const { browser } = await open();
    await browser.settle();
    const leader = browser.tabs.find(({ shared }) => shared.leading);
    for (let minute = 0; minute < 10; minute++) {
      for (let s = 0; s < 60; s++) {
        for (const tab of browser.tabs) if (tab !== leader) tab.environment.advance(1000);
        await browser.settle();
      }
    }
    expect(browser.steals).toBe(0);
    expect(leader?.shared.leading).toBe(true);
  });

  test("a leader that freezes unannounced is followed within 13 s by one of them, and gives way when it thaws", async () => {
    const { browser, watches } = await open();
    await browser.settle();
    const leader = browser.tabs.find(({ shared }) => shared.leading);
    if (leader === undefined) throw new Error("nobody leads");
    leader.frozen = true;
    browser.server.commit(taskId("t5-0"), false);
    for (let s = 0; s < 13; s++) {
      await browser.advance(1000);
      await browser.settle();
    }
    const next = browser.tabs.filter(({ shared }) => shared.leading);
    expect(next).toHaveLength(2);
    leader.frozen = false;
    await browser.settle();
    expect(leader.shared.leading).toBe(false);
    expect(browser.server.connections.size).toBe(1);
    for (const { ids } of watches) for (const id of ids) browser.server.commit(id, true);
    await browser.settle();
    for (const one of watches) check(one, browser);
    expect(browser.steals).toBe(1);
  });

  test("a task that is watched later is connecting until it is heard, and open for the others all the while", async () => {
    const { browser, watches } = await open();
    await browser.settle();
    const [first] = watches;
    const states: string[] = [];
    first?.source.addEventListener("state", ({ state }) => states.push(state));
    const later = watch(browser.tabs[3] ?? browser.open(), "later");
    expect(later.source.state.state).toBe("connecting");
    await browser.settle();
    expect(later.source.state.state).toBe("open");
    expect(first?.source.state.state).toBe("open");
    expect(new Set(states)).toEqual(new Set(["open"]));
  });

  test("nothing is left open when all have closed", async () => {
    const { browser } = await open();
    await browser.settle();
    for (const tab of browser.tabs) tab.close();
    expect(browser.server.connections.size).toBe(0);
    expect(browser.tabs.map(({ environment }) => environment.pending)).toEqual(browser.tabs.map(() => 0));
  });
});

test("where locks are refused, as in a sandboxed frame, each tab leads alone", async () => {
  const browser = new FakeBrowser();
  browser.refusesLocks = true;
  const watches = [watch(browser.open(), "a"), watch(browser.open(), "a")];
  await browser.settle();
  expect(watches.map(({ source }) => source.joined)).toEqual([true, true]);
  expect(browser.server.connections.size).toBe(2);
});
