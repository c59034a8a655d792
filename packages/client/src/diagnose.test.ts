import { afterEach, describe, expect, test } from "vitest";
import { recordStream } from "./diagnose.js";
import { ManualEnvironment, settled } from "./manual-environment.test.kit.js";
import { frame } from "./node-local-server.test.kit.js";
import { StableEventSource } from "./stable-event-source.js";
import { INTERNALS } from "./stream-options.js";
import { cursor, task } from "./task.test.kit.js";
import { watchTask } from "./watch-task.js";

const releases: (() => void)[] = [];
afterEach(() => {
  for (const release of releases.splice(0)) release();
});

/** A server that writes what it is told, when it is told. */
class Server {
  readonly environment = new ManualEnvironment(0.5);
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;

  readonly fetch = (): Promise<Response> =>
    Promise.resolve(
      new Response(new ReadableStream({ start: (controller) => void (this.#controller = controller) }), {
        headers: { "Content-Type": "text/event-stream" },
      }),
    );

  async write(text: string): Promise<void> {
    await settled();
    this.#controller?.enqueue(new TextEncoder().encode(text));
    await settled();
  }

  async end(): Promise<void> {
    this.#controller?.close();
    await settled();
  }
}

const now = task();
const hello = frame("connected", { heartbeatMs: 10_000, task: now, taskId: now.id }, cursor(5));
const beat = frame("heartbeat", { cursor: cursor(5) });

async function live(server: Server): Promise<void> {
  await server.write(hello);
  server.environment.advance(10_000);
  await server.write(beat);
  server.environment.advance(10_000);
  await server.write(beat);
  server.environment.advance(13_500);
  await server.write(beat);
  server.environment.advance(11_000);
  await server.write(beat + frame("gap", { taskId: now.id, from: cursor(1), to: cursor(2) }));
  await server.end();
  server.environment.advance(1000);
  await server.write(hello);
}

describe("what is told of a stream", () => {
  test("how it stands, its drops and why, its heartbeats and how late, its gaps", async () => {
    const server = new Server();
    const { environment } = server;
    const source = new StableEventSource("http://holdfast.test/stream?token=secret", {
      fetch: server.fetch,
      [INTERNALS]: { environment },
    });
    releases.push(() => source.close());
    const diagnose = recordStream(source, environment.now);
    await live(server);
    environment.advance(700);
    expect(diagnose()).toMatchObject({
      of: "http://holdfast.test/stream",
      recordedMs: 46_200,
      connection: { state: "open", transport: "sse", lastByteAgeMs: 700 },
      opens: 2,
      dropCounts: { ended: 1 },
      drops: [{ at: 44_500, reason: "ended", transport: "sse", openMs: 44_500, lastByteAgeMs: 0 }],
      heartbeats: { count: 4, announcedMs: 10_000, lateMs: 1000, worstLateMs: 3500 },
      gaps: 1,
    });
  });

  test("a watch tells the same", async () => {
    const server = new Server();
    const watch = watchTask("t1", {
      baseUrl: "http://holdfast.test/api/v1",
      fetch: server.fetch,
      [INTERNALS]: { environment: server.environment },
    });
    releases.push(() => watch.close());
    const diagnose = recordStream(watch, server.environment.now);
    await live(server);
    expect(diagnose()).toMatchObject({
      of: "task t1",
      opens: 2,
      dropCounts: { ended: 1 },
      heartbeats: { count: 4, announcedMs: 10_000, lateMs: 1000, worstLateMs: 3500 },
      gaps: 1,
    });
  });

  test("the text says all of it in lines to paste, and nothing secret", async () => {
    const server = new Server();
    const { environment } = server;
    const source = new StableEventSource("http://holdfast.test/stream?token=secret", {
      fetch: server.fetch,
      headers: { Authorization: "Bearer secret" },
      [INTERNALS]: { environment },
    });
    releases.push(() => source.close());
    const diagnose = recordStream(source, environment.now);
    await live(server);
    const { text } = diagnose();
    expect(text.split("\n").slice(0, -1)).toEqual([
      "Stream of http://holdfast.test/stream, recorded for 45500 ms",
      "now: open (opened) by sse, 1 failed, last byte 0 ms ago",
      "protocol: not told",
      "opened: 2, ended: 1 × ended",
      "heartbeats: 4, announced every 10000 ms, last 1000 ms late, worst 3500 ms",
      "gaps: 1",
      "ended: ended by sse, after 44500 ms open, last byte 0 ms old",
      "+0 ms idle (new) by sse, 0 failed",
      "+0 ms connecting (start) by sse, 0 failed",
      "+0 ms open (opened) by sse, 0 failed",
      "+44500 ms waiting (ended) by sse, 1 failed, next in 1000 ms",
      "+45500 ms connecting (timer) by sse, 1 failed",
      "+45500 ms open (opened) by sse, 1 failed",
    ]);
    expect(text).not.toContain("secret");
  });

  test("a stream that drops for ever costs a bounded amount", async () => {
    const environment = new ManualEnvironment();
    const source = new StableEventSource("http://holdfast.test/stream", {
      fetch: () => Promise.reject(new TypeError("network")),
      [INTERNALS]: { environment },
    });
    releases.push(() => source.close());
    const diagnose = recordStream(source, environment.now);
    for (let drop = 0; drop < 100; drop += 1) {
      await settled();
      environment.advance(1);
    }
    const { drops, transitions, dropCounts } = diagnose();
    expect([drops.length, transitions.length]).toEqual([20, 40]);
    expect(dropCounts["network"]).toBeGreaterThanOrEqual(99);
  });
});
