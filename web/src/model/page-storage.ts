/** Text by name that outlives the page, or doesn't: private mode and full quotas cost the remembering, never the page. */
export interface PageStorage {
  read(name: string): string | null;
  write(name: string, text: string): void;
  remove(name: string): void;
}

/** `scope` keeps pages of several servers on one origin apart. */
export function openPageStorage(area: () => Storage, scope: string): PageStorage {
  const keyOf = (name: string): string => `holdfast ${scope} ${name}`;
  const attempt = <T>(act: (storage: Storage) => T, otherwise: T): T => {
    try {
      // Looked up inside: where site data is blocked, naming the storage throws already.
      return act(area());
    } catch {
      // Blocked or full: the page goes on without a memory.
      return otherwise;
    }
  };
  return {
    read: (name) => attempt((storage) => storage.getItem(keyOf(name)), null),
    write: (name, text) => attempt((storage) => storage.setItem(keyOf(name), text), undefined),
    remove: (name) => attempt((storage) => storage.removeItem(keyOf(name)), undefined),
  };
}

/** Forgets with the page. */
export function createMemoryStorage(): PageStorage {
  const texts = new Map<string, string>();
  return {
    read: (name) => texts.get(name) ?? null,
    write: (name, text) => void texts.set(name, text),
    remove: (name) => void texts.delete(name),
  };
}
