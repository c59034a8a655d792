/** The child's side of crew-handle.mjs: answers each call with what the order of that name returns; ends with its parent. */

/** @param {Record<string, (order: any) => unknown>} orders may return promises */
export function takeOrders(orders) {
  process.on("message", (message) => {
    const { call, name, order } = /** @type {{ call: number, name: string, order: any }} */ (message);
    Promise.resolve()
      .then(() => orders[name]?.(order))
      .then(
        (value) => process.send?.({ call, value }),
        (/** @type {unknown} */ error) => process.send?.({ call, error: String(error) }),
      );
  });
  process.once("disconnect", () => process.exit(0));
}
