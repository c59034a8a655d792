/**
 * Parses what producers send to `/tasks/{id}/events`: one report, or one a line.
 *
 * By hand and not by schema: the shape of `data` hangs on `type`, and a refusal names the line it stands on.
 * Refuses with INVALID_FIELD and the JSON pointer of the first thing wrong; nothing of the request is then applied.
 */
import { isCustomEventName, type Json } from "@holdfast/protocol";
import { assertEventBytes } from "../tasks/event-data.js";
import type { Report } from "../tasks/lifecycle.js";
import { invalidField, toShown } from "./field-error.js";
import { NdjsonLines } from "./json-body.js";

// All reports of a request are one commit: a thousand keep it within a few milliseconds.
const MAX_REPORTS = 1_000;
const MAX_TEXT_CHARS = 1_024;
const MAX_LEASE_SECONDS = 86_400;

type Fields = { readonly [key: string]: unknown };
type Common = { readonly attempt?: number; readonly leaseSeconds?: number };

export function parseReports(body: unknown): readonly Report[] {
  if (Array.isArray(body)) {
    throw invalidField(
      "",
      `must be one report, an object: got an array; send several as application/x-ndjson, one a line, 1 to ${MAX_REPORTS}`,
    );
  }
  if (!(body instanceof NdjsonLines)) return [parseReport(body, "")];
  const { values } = body;
  if (values.length === 0 || values.length > MAX_REPORTS) {
    throw invalidField("", `must hold 1 to ${MAX_REPORTS} reports: got ${values.length}`);
  }
  return values.map((value, index) => parseReport(value, `/${index}`));
}

function parseReport(value: unknown, at: string): Report {
  const report = toFields(value, at, ["type", "attempt", "leaseSeconds", "data"]);
  const type = toText(report["type"], `${at}/type`, 64);
  const common: Common = {
    ...(report["attempt"] !== undefined && {
      attempt: toInteger(report["attempt"], `${at}/attempt`, 1, 1_000_000),
    }),
    ...(report["leaseSeconds"] !== undefined && {
      leaseSeconds: toInteger(report["leaseSeconds"], `${at}/leaseSeconds`, 1, MAX_LEASE_SECONDS),
    }),
  };
  const { data } = report;
  switch (type) {
    case "progress":
      return { ...common, type, ...parseProgress(data, `${at}/data`) };
    case "stage":
      return { ...common, type, ...parseStage(data, `${at}/data`) };
    case "complete":
      return { ...common, type, result: parseResult(data, `${at}/data`) };
    case "fail":
      return { ...common, type, ...parseFail(data, `${at}/data`) };
    default:
      return {
        ...common,
        type: "custom",
        name: toCustomName(type, `${at}/type`),
        data: toJson(data, `${at}/data`),
      };
  }
}

function parseProgress(data: unknown, at: string): { readonly done: number; readonly total?: number } {
  const { done, total } = toFields(data, at, ["done", "total"]);
  const parsed = toAmount(done, `${at}/done`);
  return total === undefined || total === null
    ? { done: parsed }
    : { done: parsed, total: toAmount(total, `${at}/total`) };
}

function parseStage(data: unknown, at: string): { readonly stage: string; readonly phase: "begin" | "end" } {
  const { stage, phase = "begin" } = toFields(data, at, ["stage", "phase"]);
  if (phase !== "begin" && phase !== "end")
    throw invalidField(`${at}/phase`, `must be begin or end: got ${toShown(phase)}`);
  return { stage: toText(stage, `${at}/stage`, 128), phase };
}

function parseResult(data: unknown, at: string): Json {
  if (data === undefined || data === null) return null;
  return toJson(toFields(data, at, ["result"])["result"], `${at}/result`);
}

function parseFail(
  data: unknown,
  at: string,
): { readonly code: string; readonly message: string; readonly retryable: boolean } {
  const { code, message, retryable = false } = toFields(data, at, ["code", "message", "retryable"]);
  if (typeof retryable !== "boolean")
    throw invalidField(`${at}/retryable`, `must be true or false: got ${toShown(retryable)}`);
  return {
    code: toText(code, `${at}/code`, 64),
    message: toText(message, `${at}/message`, MAX_TEXT_CHARS),
    retryable,
  };
}

function toCustomName(name: string, at: string): string {
  if (isCustomEventName(name)) return name;
  throw invalidField(
    at,
    `must be progress, stage, complete, fail, or a name of your own like page.done that the stream does not use itself: got ${toShown(name)}`,
  );
}

function toFields(value: unknown, at: string, known: readonly string[]): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw invalidField(at, `must be an object: got ${toShown(value)}`);
  }
  for (const key of Object.keys(value)) {
    if (!known.includes(key))
      throw invalidField(`${at}/${key.slice(0, 80)}`, `is unknown; known are ${known.join(", ")}`);
  }
  return value as Fields;
}

function toText(value: unknown, at: string, maxChars: number): string {
  if (typeof value !== "string" || value === "" || value.length > maxChars) {
    throw invalidField(at, `must be a text of 1 to ${maxChars} characters: got ${toShown(value)}`);
  }
  return value;
}

function toInteger(value: unknown, at: string, min: number, max: number): number {
  if (typeof value !== "number" || !Number.isInteger(value) || value < min || value > max) {
    throw invalidField(at, `must be an integer from ${min} to ${max}: got ${toShown(value)}`);
  }
  return value;
}

function toAmount(value: unknown, at: string): number {
  if (typeof value !== "number" || value < 0 || value > Number.MAX_SAFE_INTEGER) {
    throw invalidField(at, `must be a number from 0 to 2^53-1: got ${toShown(value)}`);
  }
  return value;
}

/** It came out of a JSON parser, so its shape is given; only its size is bounded. */
function toJson(value: unknown, at: string): Json {
  assertEventBytes(Buffer.byteLength(JSON.stringify(value ?? null)), at);
  return (value ?? null) as Json;
}
