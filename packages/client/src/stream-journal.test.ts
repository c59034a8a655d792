import { describe, expect, test } from "vitest";
import { SYSTEM_ENVIRONMENT } from "./environment.js";
import { frame, LocalServer, stream } from "./node-local-server.test.kit.js";
import { StableEventSource } from "./stable-event-source.js";
import { StreamJournal, type JournalVerdict } from "./stream-journal.js";
import { INTERNALS } from "./stream-options.js";
import { cursor } from "./task.test.kit.js";

/** A journal that is told what comes; `data` only matters in a heartbeat. */
class Teller {
  readonly #journal = new StreamJournal();

  begin(): this {
    this.#journal.begin();
    return this;
  }
  hear(event: string, id?: string, data = "{}"): JournalVerdict {
    return this.#journal.judge({ event, id, data });
  }
  beat(written: unknown): JournalVerdict {
    return this.hear("heartbeat", undefined, JSON.stringify({ cursor: written }));
  }
}

describe("replays", () => {
  test("on our own stream a milestone is new once, over reconnects", () => {
    const teller = new Teller().begin();
    expect(teller.hear("connected", cursor(1))).toBe("new");
    expect(teller.hear("stage", cursor(2))).toBe("new");
    teller.begin();
    expect(teller.hear("connected", cursor(2))).toBe("new");
    expect(teller.hear("stage", cursor(1))).toBe("replayed");
    expect(teller.hear("stage", cursor(2))).toBe("replayed");
    expect(teller.hear("stage", cursor(3))).toBe("new");
  });

  test("what carries no id is always new", () => {
    const teller = new Teller().begin();
    teller.hear("connected", cursor(9));
    expect(teller.hear("progress")).toBe("new");
    expect(teller.hear("progress")).toBe("new");
  });

  test.each([
    ["without connected", "note", cursor(9)],
    ["with a connected that has no cursor", "connected", "41"],
    ["with a connected that has no id", "connected", undefined],
  ])("on a foreign stream, %s, every event is new", (_name, type, id) => {
    const teller = new Teller().begin();
    expect(teller.hear(type, id)).toBe("new");
    expect(teller.hear("note", cursor(3))).toBe("new");
    expect(teller.hear("note", cursor(3))).toBe("new");
    expect(teller.hear("note", cursor(2))).toBe("new");
  });

  test("a new epoch begins anew", () => {
    const teller = new Teller().begin();
    teller.hear("connected", cursor(8));
    teller.begin();
    expect(teller.hear("connected", "xyz-1-0")).toBe("new");
    expect(teller.hear("stage", "xyz-2-1")).toBe("new");
    expect(teller.hear("stage", "xyz-2-1")).toBe("replayed");
  });

  test("a connection that turns out foreign is not judged by what an earlier one saw", () => {
    const teller = new Teller().begin();
    teller.hear("connected", cursor(8));
    teller.begin();
    teller.hear("message");
    expect(teller.hear("stage", cursor(2))).toBe("new");
  });

  test("a server that begins before what was seen is believed: its store was put back", () => {
    const teller = new Teller().begin();
    teller.hear("connected", cursor(3));
    expect(teller.hear("stage", cursor(13))).toBe("new");
    teller.begin();
    expect(teller.hear("connected", cursor(3))).toBe("new");
    expect(teller.hear("stage", cursor(4))).toBe("new");
    expect(teller.hear("stage", cursor(4))).toBe("replayed");
  });
});

describe("losses", () => {
  test("a heartbeat that names the last event that came proves that nothing was lost", () => {
    const teller = new Teller().begin();
    teller.hear("connected", cursor(4));
    expect(teller.beat(cursor(4))).toBe("new");
    teller.hear("stage", cursor(7));
    expect(teller.beat(cursor(7))).toBe("new");
  });

  test("a heartbeat that names another is a loss", () => {
    const teller = new Teller().begin();
    teller.hear("connected", cursor(4));
    expect(teller.beat(cursor(5))).toBe("missed");
    teller.hear("stage", cursor(5));
    expect(teller.beat(cursor(6))).toBe("missed");
  });

  test("a foreign stream is not judged, nor a heartbeat that names nothing", () => {
    const foreign = new Teller().begin();
    foreign.hear("connected", "7");
    expect(foreign.beat(cursor(5))).toBe("new");
    foreign.begin().hear("stage", cursor(3));
    expect(foreign.beat(cursor(5))).toBe("new");
    const ours = new Teller().begin();
    ours.hear("connected", cursor(4));
    expect(ours.beat(undefined)).toBe("new");
    expect(ours.hear("heartbeat", undefined, "tick")).toBe("new");
  });

  test("an event that was lost on the way is missed at the next heartbeat, and asked for again", async () => {
    const hello = frame("connected", {}, "e-1-4");
    const server = await LocalServer.start(
      stream(hello + frame("heartbeat", { cursor: "e-1-5" })),
      stream(hello + frame("stage", {}, "e-1-5")),
    );
    const environment = { ...SYSTEM_ENVIRONMENT, random: () => 0 };
    const source = new StableEventSource(server.url, { [INTERNALS]: { environment } });
    try {
      const reasons: string[] = [];
      source.addEventListener("state", ({ reason }) => void reasons.push(reason));
      await new Promise((resolve) => source.addEventListener("stage", resolve));
      expect(reasons).toContain("missed");
      expect(server.requests[1]?.headers["last-event-id"]).toBe("e-1-4");
    } finally {
      source.close();
      await server.stop();
    }
  });
});
