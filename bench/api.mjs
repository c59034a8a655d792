/** The service's JSON routes and its metrics, as the benches call them. */

/** @param {string} url @param {string} path below /api/v1 @param {object} body @returns {Promise<any>} */
export async function post(url, path, body) {
  return await postText(url, path, "application/json", JSON.stringify(body));
}

/** All or none, as one commit. @param {string} url @param {string} taskId @param {readonly object[]} reports */
export async function report(url, taskId, reports) {
  const lines = reports.map((one) => JSON.stringify(one)).join("\n");
  return await postText(url, `/tasks/${taskId}/events`, "application/x-ndjson", lines);
}

/** @param {string} url @param {string} path @param {string} type @param {string} body */
async function postText(url, path, type, body) {
  const answer = await fetch(`${url}/api/v1${path}`, {
    method: "POST",
    headers: { "Content-Type": type },
    body,
  });
  if (!answer.ok) throw new Error(`POST ${path}: ${answer.status} ${await answer.text()}`);
  return await answer.json();
}

/** Sums over labels, and `name{labels}` for each. @param {string} url @returns {Promise<Map<string, number>>} */
export async function readMetrics(url) {
  const answer = await fetch(`${url}/metrics`);
  const metrics = new Map();
  for (const line of (await answer.text()).split("\n")) {
    const match = /^([A-Za-z_:]+)(\{.*\})? (\S+)$/.exec(line);
    if (match === null) continue;
    const [, name = "", labels, value] = match;
    metrics.set(name, (metrics.get(name) ?? 0) + Number(value));
    if (labels !== undefined) metrics.set(name + labels, Number(value));
  }
  return metrics;
}

/** Looks every 50 ms; false when it has not come true in time. @param {() => Promise<boolean> | boolean} look @param {number} withinMs */
export async function comesTrue(look, withinMs) {
  const untilMs = performance.now() + withinMs;
  for (;;) {
    if (await look()) return true;
    if (performance.now() > untilMs) return false;
    await new Promise((resolve) => void setTimeout(resolve, 50));
  }
}
