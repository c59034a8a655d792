import {
  isCustomEventName,
  STREAM_EVENT_NAMES,
  type CustomData,
  type StreamEvents,
} from "@holdfast/protocol";
import type { StreamMessageEvent } from "./stream-event.js";

/** One event of a watch: `type` tells the shape of `data`. A producer's own events are `custom`, with their name. */
export type WatchEvent =
  | {
      [K in keyof StreamEvents]: {
        readonly type: K;
        readonly data: StreamEvents[K];
        /** Its own id for a milestone, else that of the milestone before. */
        readonly lastEventId: string;
      };
    }[keyof StreamEvents]
  | {
      readonly type: "custom";
      readonly name: string;
      readonly data: CustomData;
      readonly lastEventId: string;
    };

const NAMES: ReadonlySet<string> = new Set(STREAM_EVENT_NAMES);

/** Undefined for what is no event of our wire, or no JSON. The shape of the data is the server's word. */
export function parseWatchEvent(event: StreamMessageEvent): WatchEvent | undefined {
  const { type, lastEventId } = event;
  const known = NAMES.has(type);
  if (!known && !isCustomEventName(type)) return undefined;
  let data: unknown;
  try {
    data = event.json;
  } catch {
    // Cut or foreign data: the next snapshot says it again.
    return undefined;
  }
  if (typeof data !== "object" || data === null) return undefined;
  return (
    known ? { type, data, lastEventId } : { type: "custom", name: type, data, lastEventId }
  ) as WatchEvent;
}

/** The task that the event speaks of; undefined when it speaks of none or of many. */
export function readTaskId(event: WatchEvent): string | undefined {
  if (event.type === "snapshot") return event.data.task.id;
  if (!("taskId" in event.data)) return undefined;
  return event.data.taskId ?? undefined;
}
