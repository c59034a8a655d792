/**
 * The JSON schemas of request bodies: they check, and they are what `/openapi.json` shows.
 */

/** A JSON schema, as AJV and OpenAPI take it. */
export type JsonSchema = { readonly [keyword: string]: unknown };

const ID_SCHEMA: JsonSchema = { type: "string", pattern: "^[A-Za-z0-9_-]{1,64}$" };

const METADATA_SCHEMA: JsonSchema = { type: "object", maxProperties: 64, additionalProperties: true };

export const NEW_TASK_SCHEMA: JsonSchema = {
  type: "object",
  additionalProperties: false,
  properties: {
    id: ID_SCHEMA,
    title: { type: ["string", "null"], maxLength: 255 },
    total: { type: ["number", "null"], minimum: 0, maximum: Number.MAX_SAFE_INTEGER },
    unit: { type: "string", minLength: 1, maxLength: 32 },
    metadata: METADATA_SCHEMA,
    batchId: { type: ["string", "null"], pattern: ID_SCHEMA["pattern"] },
    maxAttempts: { type: "integer", minimum: 1, maximum: 1_000 },
  },
};

export const NEW_BATCH_SCHEMA: JsonSchema = {
  type: "object",
  additionalProperties: false,
  properties: { id: ID_SCHEMA, metadata: METADATA_SCHEMA },
};

export const WATCH_MANY_SCHEMA: JsonSchema = {
  type: "object",
  additionalProperties: false,
  required: ["tasks"],
  properties: {
    tasks: {
      type: "array",
      minItems: 1,
      maxItems: 1_000,
      items: { type: "string", minLength: 1, maxLength: 128 },
    },
  },
};

/** For the document alone, so no keyword that AJV would check; `poll-query.ts` does. */
const STREAM_QUERY: JsonSchema = {
  lastEventId: { description: "The cursor to resume from, where Last-Event-ID can't be sent" },
  transport: {
    description: "sse: one response that stays. poll: a response for whatever is new",
    default: "sse",
  },
  wait: { description: "Seconds for which a poll is held at most, 0 to 60", default: 20 },
  rev: { description: "What the last heartbeat of the poll before gave as rev; opaque" },
};

export const STREAM_QUERY_SCHEMA: JsonSchema = { type: "object", properties: STREAM_QUERY };

export const STREAM_MANY_QUERY_SCHEMA: JsonSchema = {
  type: "object",
  properties: {
    task: { description: "A task to watch; once for each, at most 100" },
    ...STREAM_QUERY,
  },
};

/** For the document alone; `report-body.ts` checks. */
export const REPORT_SCHEMA: JsonSchema = {
  type: "object",
  required: ["type"],
  properties: {
    type: { type: "string", description: "progress, stage, complete, fail, or a name of your own" },
    attempt: { type: "integer", minimum: 1 },
    leaseSeconds: { type: "integer", minimum: 1 },
    data: {},
  },
};

export const NEW_UPLOAD_SCHEMA: JsonSchema = {
  type: "object",
  additionalProperties: false,
  properties: {
    id: ID_SCHEMA,
    filename: { type: ["string", "null"], maxLength: 1_024 },
    total: { type: ["integer", "null"], minimum: 0, maximum: Number.MAX_SAFE_INTEGER },
    metadata: METADATA_SCHEMA,
    batchId: { type: ["string", "null"], pattern: ID_SCHEMA["pattern"] },
    processing: { enum: ["none", "external"] },
  },
};
