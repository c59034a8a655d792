/**
 * Loaded into the server's process (`node --expose-gc --import`): what cannot be told from outside. Asked over IPC, it collects
 * garbage and answers with what is left, and with the resources that keep an event loop busy, by kind. Changes nothing else.
 */
process.on("message", () => {
  const { gc } = globalThis;
  // Twice: what a finaliser lets go of is collected by the next.
  gc?.();
  gc?.();
  const { heapUsed, external } = process.memoryUsage();
  /** @type {Record<string, number>} */
  const resources = {};
  for (const kind of process.getActiveResourcesInfo()) resources[kind] = (resources[kind] ?? 0) + 1;
  process.send?.({ heapUsed, external, resources });
});
// The channel to the soak is no reason to live on.
process.channel?.unref();
