/** Every case, in the order of the matrix. */
import type { Case } from "./case.js";
import { OUTAGE_CASES } from "./outage-cases.js";
import { STREAM_CASES } from "./stream-cases.js";
import { UPLOAD_CASES } from "./upload-cases.js";

/** May run side by side. */
export const SHARED_CASES: readonly Case[] = STREAM_CASES.filter(({ needs }) => needs === undefined);
/** Wait for more than a minute, beside everything else. */
export const SILENT_CASES: readonly Case[] = STREAM_CASES.filter(({ needs }) => needs === "silent");
/** Alone: they move bytes, or take the way away from the others. */
export const LONE_CASES: readonly Case[] = [...UPLOAD_CASES, ...OUTAGE_CASES];
export const CASES: readonly Case[] = [...SHARED_CASES, ...LONE_CASES, ...SILENT_CASES];
