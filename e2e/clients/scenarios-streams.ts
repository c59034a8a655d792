/** Scenarios of what comes in a stream and what is lost of it: ids, listeners, silence, cuts, replays. */
import type { StreamErrorEvent } from "@holdfast/client";
import { breaks, connected, cursor, ends, event, inTurn, mute, stays } from "./scenario-plays.js";
import type { Scenario, Stage } from "./scenario.js";

const SOON = { retryDelay: 20 };

/** Whatever is sent after a break reaches those who listened before it. */
async function assertHeard(stage: Stage, expected: readonly string[]): Promise<void> {
  stage.listen("message", "tick", "complete");
  await stage.until(() => stage.heard.length >= expected.length);
  // What comes too much would come now.
  await stage.pause(100);
  stage.is(stage.heard, expected);
}

const resumes = (name: string, first: string, id: string): Scenario => ({
  name,
  naive: false,
  options: SOON,
  play: inTurn(breaks(first), stays("data: b\n\n")),
  async run(stage) {
    await stage.until(() => stage.requests === 2);
    stage.is(stage.header(1, "last-event-id"), id);
  },
});

export const STREAM_SCENARIOS: readonly Scenario[] = [
  resumes("the last event id is sent after a break", "id: 7\ndata: a\n\n", "7"),
  resumes("an id is opaque, and UTF-8", "id: ✓ é/½\ndata: a\n\n", "✓ é/½"),
  resumes("an id without data moves the cursor", "id: 7\ndata: a\n\nid: 8\n\n", "8"),
  resumes("the id of an event that was cut does not", "id: 7\ndata: a\n\nid: 8\ndata: cut", "7"),
  {
    name: "listeners survive a break",
    naive: false,
    options: SOON,
    play: inTurn(breaks("event: tick\ndata: 1\n\n"), stays("event: tick\ndata: 2\n\n")),
    run: async (stage) => await assertHeard(stage, ["tick 1", "tick 2"]),
  },
  {
    name: "a listener that wants one event gets one, over any number of connections",
    naive: true,
    options: SOON,
    play: inTurn(breaks("event: tick\ndata: 1\n\n"), breaks("event: tick\ndata: 2\n\n"), stays()),
    async run(stage) {
      let calls = 0;
      stage.source.addEventListener("tick", () => void (calls += 1), { once: true });
      await stage.until(() => stage.requests === 3);
      stage.is(calls, 1);
    },
  },
  {
    name: "the ending that came during an outage is heard",
    naive: false,
    options: SOON,
    play(request, response, index) {
      const missed =
        request.headers["last-event-id"] === cursor(2) ? event("complete", "done", cursor(3)) : "";
      const play =
        index === 0 ? breaks(connected(1), event("tick", 1, cursor(2))) : stays(connected(2), missed);
      void play(request, response, index);
    },
    run: async (stage) => await assertHeard(stage, ["tick 1", 'complete "done"']),
  },
  {
    name: "what our server tells again after a break is told once",
    naive: false,
    options: SOON,
    play: inTurn(
      breaks(connected(0), event("tick", 1, cursor(1)), event("tick", 2, cursor(2))),
      stays(
        connected(2),
        event("tick", 1, cursor(1)),
        event("tick", 2, cursor(2)),
        event("tick", 3, cursor(3)),
      ),
    ),
    run: async (stage) => await assertHeard(stage, ["tick 1", "tick 2", "tick 3"]),
  },
  {
    name: "ids that repeat on somebody else's stream are all told",
    naive: true,
    options: SOON,
    play: stays("id: 1\ndata: a\n\nid: 1\ndata: b\n\nid: 1\ndata: a\n\n"),
    run: async (stage) => await assertHeard(stage, ["message a", "message b", "message a"]),
  },
  {
    name: "an event that was lost on the way is asked for again",
    naive: false,
    options: SOON,
    play: inTurn(
      stays(connected(1), event("tick", 1, cursor(2)), event("heartbeat", { cursor: cursor(3) })),
      stays(connected(2), event("tick", 2, cursor(3))),
    ),
    run: async (stage) => await assertHeard(stage, ["tick 1", "tick 2"]),
  },
  {
    name: "a stream that falls silent is noticed",
    naive: false,
    options: { ...SOON, heartbeatTimeout: 200 },
    play: inTurn(stays("data: a\n\n"), stays("data: b\n\n")),
    run: async (stage) => await stage.until(() => stage.requests >= 2),
  },
  {
    name: "a stream that opens and says nothing is noticed",
    naive: false,
    options: { ...SOON, heartbeatTimeout: 200 },
    play: inTurn(stays(), stays("data: a\n\n")),
    run: async (stage) => await stage.until(() => stage.requests >= 2),
  },
  {
    name: "silence is judged by what our server announces",
    naive: false,
    options: SOON,
    play: inTurn(stays(connected(1, 100)), stays(connected(1, 100))),
    run: async (stage) => await stage.until(() => stage.requests >= 2),
  },
  {
    name: "where the way holds every stream back, polls come through",
    naive: false,
    options: { ...SOON, connectTimeout: 200, heartbeatTimeout: 200, transports: ["sse", "poll"] },
    play(request, response, index) {
      const polled = request.url?.includes("transport=poll") === true;
      const news =
        request.headers["last-event-id"] === cursor(2)
          ? [connected(2)]
          : [connected(1), event("tick", 1, cursor(2))];
      void (polled ? ends(...news) : stays())(request, response, index);
    },
    run: async (stage) => await assertHeard(stage, ["tick 1"]),
  },
  {
    name: "an error while reading is told with its reason",
    naive: false,
    options: { ...SOON, heartbeatTimeout: 200 },
    play: inTurn(stays("data: a\n\n"), mute),
    async run(stage) {
      await stage.until(() => stage.errors.length === 1);
      const { reason, terminal } = stage.errors[0] as Partial<StreamErrorEvent>;
      stage.is([reason, terminal], ["silence", false]);
    },
  },
  {
    name: "comments alone keep a stream alive",
    naive: true,
    options: { ...SOON, heartbeatTimeout: 600 },
    async play(request, response, index) {
      await stays()(request, response, index);
      const timer = setInterval(() => response.write(":\n"), 50);
      request.socket.once("close", () => clearInterval(timer));
    },
    async run(stage) {
      await stage.until(() => stage.requests === 1);
      await stage.pause(1500);
      stage.is([stage.requests, stage.source.readyState], [1, 1]);
    },
  },
  {
    name: "a server that goes away says when to return, and is believed",
    naive: false,
    options: SOON,
    play: inTurn(
      ends(connected(1), event("drain", { reconnectInMs: 500 })),
      stays(connected(1), "data: b\n\n"),
    ),
    async run(stage) {
      await stage.until(() => stage.requests === 2);
      const [first, second] = stage.server.asked;
      stage.is([(second?.atMs ?? 0) - (first?.atMs ?? 0) >= 490, stage.errors.length], [true, 0]);
    },
  },
  {
    name: "a CRLF that is cut in the middle ends one line",
    naive: true,
    async play(request, response, index) {
      await stays("data: a\r")(request, response, index);
      setTimeout(() => response.write("\ndata: b\r"), 30);
      setTimeout(() => response.write("\n\r\n"), 60);
    },
    run: async (stage) => await assertHeard(stage, ["message a\nb"]),
  },
  {
    name: "an event that ends with CR is told at once",
    naive: true,
    play: stays("data: a\r\r"),
    run: async (stage) => await assertHeard(stage, ["message a"]),
  },
  {
    name: "half an event is not told",
    naive: false,
    options: SOON,
    play: inTurn(breaks("data: a\n\ndata: b"), stays("data: c\n\n")),
    run: async (stage) => await assertHeard(stage, ["message a", "message c"]),
  },
  {
    name: "what is still in the same piece is not told after close()",
    naive: true,
    play: stays("data: a\n\ndata: b\n\n"),
    async run(stage) {
      const heard: string[] = [];
      stage.handle("message", (told) => {
        heard.push((told as MessageEvent<string>).data);
        stage.source.close();
      });
      await stage.until(() => heard.length > 0);
      await stage.pause(50);
      stage.is(heard, ["a"]);
    },
  },
];
