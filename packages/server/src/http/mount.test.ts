import { EventEmitter } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { expect, test, vi } from "vitest";
import { mount } from "./mount.js";

/** What the door would see for a request that the host hands over, or `next` where it is not ours. */
function seen(basePath: string, url: string, originalUrl?: string): string | undefined {
  const request = { url, ...(originalUrl !== undefined && { originalUrl }) } as unknown as IncomingMessage;
  const response = new EventEmitter() as unknown as ServerResponse;
  const next = vi.fn<() => void>();
  let routed: string | undefined;
  const owns = (path: string): boolean => path.startsWith(`${basePath}/api/v1/`);
  mount({ basePath, owns, routing: ({ url: whole }) => void (routed = whole) })(request, response, next);
  expect(next).toHaveBeenCalledTimes(routed === undefined ? 1 : 0);
  response.emit("close");
  expect(request.url).toBe(url);
  return routed;
}

test("mounted at the root, paths are taken as they are", () => {
  expect(seen("", "/api/v1/tasks?limit=1")).toBe("/api/v1/tasks?limit=1");
  expect(seen("", "/about")).toBeUndefined();
  expect(seen("/live", "/live/api/v1/tasks")).toBe("/live/api/v1/tasks");
  expect(seen("/live", "/api/v1/tasks")).toBeUndefined();
});

test("mounted at the base path, the part that the host cut off is put back", () => {
  expect(seen("/live", "/api/v1/tasks", "/live/api/v1/tasks")).toBe("/live/api/v1/tasks");
  expect(seen("/live", "/about", "/live/about")).toBeUndefined();
});

test("mounted elsewhere than the base path says, what the host left of the path counts", () => {
  expect(seen("", "/api/v1/tasks", "/x/api/v1/tasks")).toBe("/api/v1/tasks");
  // A proxy in front strips /files, the host strips /live, links say /files/live.
  expect(seen("/files/live", "/api/v1/tasks", "/live/api/v1/tasks")).toBe("/files/live/api/v1/tasks");
});

test("without next everything goes to the door, which answers 404 itself", () => {
  const routing = vi.fn<() => void>();
  const response = new EventEmitter() as unknown as ServerResponse;
  mount({ basePath: "", owns: () => false, routing })({ url: "/about" } as IncomingMessage, response);
  expect(routing).toHaveBeenCalledTimes(1);
});
