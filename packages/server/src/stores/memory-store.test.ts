import { MemoryStore } from "./memory-store.js";
import { storeSuite } from "./store-suite.js";

storeSuite("the store in memory", async (historyPerTask) => {
  const now = { ms: 1_000 };
  const store = new MemoryStore(() => now.ms, historyPerTask);
  return { store, now, release: async () => await store.close() };
});
