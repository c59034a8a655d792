/**
 * What the client promises on every runtime, in one process that nothing but the client keeps alive. Plain JavaScript over fetch, so that Bun and
 * Deno run it as it is. Prints a line for each promise kept; the process must end by itself, with 0.
 *
 * Usage: <runtime> smoke.mjs <Holdfast's url> <url that breaks once> <url that comes up late>
 */
import { argv } from "node:process";
import { StableEventSource, watchTask } from "@holdfast/client";
import { EventSource } from "@holdfast/client/eventsource";

const [holdfast = "", breaking = "", late = ""] = argv.slice(2);

/**
 * The server breaks after its first event and tells the id that it is then asked from.
 * @param {string} name
 * @param {EventSource | StableEventSource} source
 */
async function resumes(name, source) {
  /** @type {string[]} */
  const heard = [];
  await new Promise((resolve) => {
    source.addEventListener("tick", (event) => {
      const { data, lastEventId, origin } = /** @type {MessageEvent<string>} */ (event);
      if (heard.push(`${data} ${lastEventId} ${origin}`) === 2) resolve(undefined);
    });
  });
  source.close();
  const { origin } = new URL(breaking);
  const expected = [`first ✓ ${origin}`, `asked from ✓ ✓ ${origin}`];
  const [got, wanted] = [heard.join(", "), expected.join(", ")];
  if (got !== wanted) throw new Error(`${name} heard ${got}, expected ${wanted}`);
  console.log(`ok ${name}`);
}

await resumes("EventSource", new EventSource(`${breaking}strict`));
await resumes("StableEventSource", new StableEventSource(`${breaking}stable`, { retryDelay: 10 }));

/** @param {string} path @param {unknown} body */
async function post(path, body) {
  const response = await fetch(`${holdfast}/api/v1${path}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  await response.body?.cancel();
}

const taskId = `everywhere-${Date.now()}`;
await post("/tasks", { id: taskId, total: 2 });
const watch = watchTask(taskId, { baseUrl: `${holdfast}/api/v1` });
await post(`/tasks/${taskId}/events`, { type: "complete", data: { result: 42 } });
const { type } = await watch.ending;
if (type !== "complete") throw new Error(`watchTask resolved with ${type}`);
console.log("ok watchTask");

// From here on nothing is under way but the wait for the next attempt.
const waiting = new StableEventSource(late, { retryDelay: 100 });
waiting.addEventListener("message", () => {
  console.log("ok a pending retry keeps the process alive");
  waiting.close();
});
