/** The shape of the interface, member by member: what `interfaces.html` reads out of the IDL. */
import type { Trial } from "./trial.js";
import type { WptCase } from "./wpt-case.js";

type Descriptor = PropertyDescriptor | undefined;

function shape(name: string, what: (trial: Trial) => unknown, expected: unknown): WptCase {
  return {
    file: "interfaces.html",
    subtest: name,
    run: (trial) => trial.equal(what(trial), expected, name),
  };
}

const flags = (descriptor: Descriptor): unknown =>
  descriptor && [descriptor.writable, descriptor.enumerable, descriptor.configurable];

const own = (target: object, name: PropertyKey): Descriptor => Object.getOwnPropertyDescriptor(target, name);

const throws = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    return (error as Error).name;
  }
  return "nothing";
};

const CONSTANTS = { CONNECTING: 0, OPEN: 1, CLOSED: 2 };
const ATTRIBUTES = ["url", "withCredentials", "readyState"];
const HANDLERS = ["onopen", "onmessage", "onerror"];

const inherits = (name: string, type: string): WptCase =>
  shape(
    `an EventSource must have "${name}" with the proper type`,
    (trial) => typeof Reflect.get(trial.source("resources/message.py"), name),
    type,
  );

export const INTERFACE_CASES: readonly WptCase[] = [
  shape(
    "existence and properties of interface object",
    ({ EventSource }) => [
      flags(own(globalThis, "EventSource")),
      typeof EventSource,
      Object.getPrototypeOf(EventSource) === EventTarget,
    ],
    [[true, false, true], "function", true],
  ),
  shape("interface object length", ({ EventSource }) => EventSource.length, 1),
  shape("interface object name", ({ EventSource }) => EventSource.name, "EventSource"),
  shape(
    "existence and properties of interface prototype object",
    ({ EventSource }) => [
      flags(own(EventSource, "prototype")),
      Object.getPrototypeOf(EventSource.prototype) === EventTarget.prototype,
    ],
    [[false, false, false], true],
  ),
  shape(
    'interface prototype object\'s "constructor" property',
    ({ EventSource }) => [
      flags(own(EventSource.prototype, "constructor")),
      EventSource.prototype.constructor === EventSource,
    ],
    [[true, false, true], true],
  ),
  shape(
    "interface prototype object's @@unscopables property",
    ({ EventSource }) => own(EventSource.prototype, Symbol.unscopables) === undefined,
    true,
  ),
  ...Object.entries(CONSTANTS).flatMap(([name, value]) => [
    shape(`constant ${name} on interface object`, ({ EventSource }) => own(EventSource, name), {
      value,
      writable: false,
      enumerable: true,
      configurable: false,
    }),
    shape(
      `constant ${name} on interface prototype object`,
      ({ EventSource }) => own(EventSource.prototype, name),
      { value, writable: false, enumerable: true, configurable: false },
    ),
  ]),
  ...[...ATTRIBUTES, ...HANDLERS].map((name) =>
    shape(
      `attribute ${name}`,
      ({ EventSource }) => {
        const descriptor = own(EventSource.prototype, name);
        return [
          descriptor?.get?.name,
          descriptor?.get?.length,
          descriptor?.set?.name,
          descriptor?.enumerable,
          descriptor?.configurable,
          throws(() => Reflect.get(EventSource.prototype, name)),
        ];
      },
      [`get ${name}`, 0, HANDLERS.includes(name) ? `set ${name}` : undefined, true, true, "TypeError"],
    ),
  ),
  shape(
    "operation close()",
    ({ EventSource }) => {
      const close = own(EventSource.prototype, "close");
      const { value } = close ?? {};
      return [
        flags(close),
        typeof value,
        (value as () => void).length,
        throws(() => (value as () => void).call({})),
      ];
    },
    [[true, true, true], "function", 0, "TypeError"],
  ),
  shape(
    "EventSource must be primary interface of an EventSource",
    (trial) => {
      const source = trial.source("resources/message.py");
      return [
        source instanceof trial.EventSource,
        Object.getPrototypeOf(source) === trial.EventSource.prototype,
      ];
    },
    [true, true],
  ),
  shape(
    "stringification",
    (trial) => Object.prototype.toString.call(trial.source("resources/message.py")),
    "[object EventSource]",
  ),
  ...ATTRIBUTES.map((name) =>
    inherits(name, { url: "string", withCredentials: "boolean" }[name] ?? "number"),
  ),
  ...HANDLERS.map((name) => inherits(name, "object")),
  ...Object.keys(CONSTANTS).map((name) => inherits(name, "number")),
  ...["close", "addEventListener", "removeEventListener", "dispatchEvent"].map((name) =>
    inherits(name, "function"),
  ),
  shape(
    "too few arguments must throw TypeError",
    ({ EventSource }) => throws(() => Reflect.construct(EventSource, [])),
    "TypeError",
  ),
  // What `[LegacyTreatNonObjectAsNull]` and the order of listeners ask for.
  shape(
    "a handler that is no object is null, one that can't be called is kept",
    (trial) => {
      const source = trial.source("resources/message.py");
      return [1, "x", undefined]
        .map((value) => {
          Reflect.set(source, "onopen", value);
          return source.onopen;
        })
        .concat((Reflect.set(source, "onopen", { a: 1 }), source.onopen));
    },
    [null, null, null, { a: 1 }],
  ),
  {
    file: "interfaces.html",
    subtest: "a handler keeps its place among the listeners when exchanged, and gives it up when null",
    async run(trial) {
      const source = trial.source("resources/message.py");
      const called: string[] = [];
      Reflect.set(source, "onmessage", () => called.push("no"));
      source.addEventListener("message", () => called.push("listener"));
      Reflect.set(source, "onmessage", function handler(this: unknown) {
        called.push(this === source ? "handler" : "another this");
      });
      Reflect.set(source, "onopen", () => called.push("no"));
      Reflect.set(source, "onopen", null);
      await trial.messages(source, 1);
      trial.equal(called, ["handler", "listener"], "what was called");
    },
  },
];
