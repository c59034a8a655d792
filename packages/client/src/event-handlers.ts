/**
 * Event handler attributes [html §8.1.8.1]: `onopen` and its like beside `addEventListener`. A handler that is exchanged keeps its place among
 * the listeners; null gives it up. What is no object is null; an object that can't be called is kept and does nothing.
 */
export class EventHandlers {
  readonly #target: EventTarget;
  readonly #active = new Map<string, { handler: object; readonly listener: (event: Event) => void }>();

  constructor(target: EventTarget) {
    this.#target = target;
  }

  get(type: string): object | null {
    return this.#active.get(type)?.handler ?? null;
  }

  set(type: string, value: unknown): void {
    const handler = toObject(value);
    const active = this.#active.get(type);
    if (handler === null) {
      if (active !== undefined) this.#target.removeEventListener(type, active.listener);
      this.#active.delete(type);
    } else if (active !== undefined) active.handler = handler;
    else {
      const target = this.#target;
      const entry = {
        handler,
        listener: (event: Event): void => {
          if (typeof entry.handler === "function") Reflect.apply(entry.handler, target, [event]);
        },
      };
      this.#active.set(type, entry);
      target.addEventListener(type, entry.listener);
    }
  }
}

function toObject(value: unknown): object | null {
  return typeof value === "object" || typeof value === "function" ? value : null;
}
