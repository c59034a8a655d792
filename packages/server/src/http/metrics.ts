/**
 * What Prometheus is told, from a registry of this instance's own.
 */
import { isTerminal, type TaskId } from "@holdfast/protocol";
import type { SessionReport, StreamEngine } from "@holdfast/stream";
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";
import type { Store } from "../stores/store.js";
import type { Controls } from "../tasks/controls.js";
import type { Deliveries } from "../tasks/deliveries.js";
import type { Tasks } from "../tasks/tasks.js";

export interface MetricsOptions {
  readonly engine: StreamEngine;
  readonly store: Store;
  readonly tasks: Tasks;
  readonly controls: Controls;
  readonly deliveries: Deliveries;
}

export interface AnsweredRequest {
  readonly method: string;
  /** The route's pattern, never the path: ids would make as many series. */
  readonly route: string;
  readonly status: number;
  readonly durationMs: number;
}

export class Metrics {
  readonly #registry = new Registry();
  readonly #connects: Counter;
  readonly #closes: Counter<"reason">;
  readonly #events: Counter;
  readonly #bytes: Counter;
  readonly #requests: Histogram<"method" | "route" | "status">;
  readonly #stops: (() => void)[];

  constructor({ engine, store, tasks, controls, deliveries }: MetricsOptions) {
    const registers = [this.#registry];
    collectDefaultMetrics({ register: this.#registry });
    this.#watchMemory(engine, tasks);
    const waits: Gauge = new Gauge({
      name: "holdfast_control_waits",
      help: "Producers that wait for a cancel now",
      registers,
      collect: () => waits.set(controls.size),
    });
    const delivered: Counter<"outcome"> = new Counter({
      name: "holdfast_deliveries_total",
      help: "Endings sent, and acknowledged by clients that came back; unrecorded: let go of, or not stored",
      labelNames: ["outcome"],
      registers,
      collect: () => {
        delivered.reset();
        for (const [outcome, count] of Object.entries(deliveries.counts)) delivered.inc({ outcome }, count);
      },
    });
    this.#connects = new Counter({
      name: "holdfast_stream_connects_total",
      help: "Streams opened",
      registers,
    });
    this.#closes = new Counter({
      name: "holdfast_stream_closes_total",
      help: "Streams closed, by reason",
      labelNames: ["reason"],
      registers,
    });
    this.#events = new Counter({
      name: "holdfast_stream_events_total",
      help: "Events written on streams that have closed",
      registers,
    });
    this.#bytes = new Counter({
      name: "holdfast_stream_bytes_total",
      help: "Bytes written on streams that have closed",
      registers,
    });
    this.#requests = new Histogram({
      name: "holdfast_http_request_duration_seconds",
      help: "Requests that are no streams, by route and status",
      labelNames: ["method", "route", "status"],
      buckets: [0.005, 0.025, 0.1, 0.5, 2.5, 10, 60],
      registers,
    });
    this.#stops = [this.#countEndings(store), this.#countBytes(tasks)];
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  async read(): Promise<string> {
    return await this.#registry.metrics();
  }

  streamOpened(): void {
    this.#connects.inc();
  }

  streamClosed(report: SessionReport): void {
    this.#closes.inc({ reason: report.reason });
    this.#events.inc(report.events);
    this.#bytes.inc(report.bytes);
  }

  answered({ method, route, status, durationMs }: AnsweredRequest): void {
    this.#requests.observe({ method, route, status: String(status) }, durationMs / 1_000);
  }

  close(): void {
    for (const stop of this.#stops) stop();
    this.#registry.clear();
  }

  /** All that grows with streams and must come back when they go: what a leak would show in. */
  #watchMemory(engine: StreamEngine, tasks: Tasks): void {
    const gauge = (name: string, help: string): Gauge =>
      new Gauge({ name, help, registers: [this.#registry] });
    // Registered first, and so asked first: one walk over the sessions sets all of them.
    const open: Gauge = new Gauge({
      name: "holdfast_streams_open",
      help: "Streams open now",
      registers: [this.#registry],
      collect: () => {
        const { stats, queue } = engine;
        open.set(stats.sessions);
        channels.set(stats.channels);
        timers.set(stats.timers);
        queued.set(queue.bytes);
        most.set(queue.mostBytes);
        inMemory.set(tasks.size);
      },
    });
    const channels = gauge(
      "holdfast_channels_watched",
      "Tasks and batches that at least one stream carries now",
    );
    const timers = gauge("holdfast_stream_timers", "Entries of the timer wheel of streams");
    const queued = gauge("holdfast_stream_queued_bytes", "Bytes of streams above the kernel's buffers");
    const most = gauge("holdfast_stream_queued_bytes_max", "Bytes of the stream that holds most");
    const inMemory = gauge("holdfast_tasks_in_memory", "Tasks held in memory");
  }

  #countEndings(store: Store): () => void {
    const endings = new Counter({
      name: "holdfast_tasks_ended_total",
      help: "Tasks ended, by how",
      labelNames: ["status"],
      registers: [this.#registry],
    });
    return store.subscribe(({ row, milestones }) => {
      if (milestones.some(({ ending }) => ending)) endings.inc({ status: row.status });
    });
  }

  /** Bytes are counted from what rows show, so that there is one truth; a row first seen is a start, not a gain. */
  #countBytes(tasks: Tasks): () => void {
    const stored = new Counter({
      name: "holdfast_upload_bytes_total",
      help: "Bytes stored",
      registers: [this.#registry],
    });
    const seen = new Map<TaskId, number>();
    return tasks.onRow((row) => {
      if (row.kind !== "upload") return;
      const before = seen.get(row.id) ?? row.done;
      if (row.done > before) stored.inc(row.done - before);
      if (isTerminal(row.status)) seen.delete(row.id);
      else seen.set(row.id, row.done);
    });
  }
}
