import fc from "fast-check";
import { expect, test } from "vitest";
import { parseFlags } from "./flags.js";
import { UsageError } from "./usage-error.js";

const KNOWN = { port: {}, "data-dir": {}, insecure: { isSwitch: true }, origin: { isList: true } } as const;

function read(...args: readonly string[]): { readonly [name: string]: string } {
  return Object.fromEntries(parseFlags(args, KNOWN).values);
}

test("a value stands behind = or in the next place, and a switch stands alone", () => {
  expect(read("--port", "9000", "--data-dir=/srv/x", "--insecure")).toEqual({
    port: "9000",
    "data-dir": "/srv/x",
    insecure: "true",
  });
  expect(read("--insecure=false")).toEqual({ insecure: "false" });
});

test("a list may be given several times", () => {
  expect(read("--origin", "a", "--origin=b")).toEqual({ origin: "a,b" });
});

test("what has no name is handed back in order", () => {
  expect(parseFlags(["one", "--port", "1", "two", "--", "--three"], KNOWN).positionals).toEqual([
    "one",
    "two",
    "--three",
  ]);
});

test.each([
  [["--prot", "1"], "unknown flag --prot: did you mean --port?"],
  [["--zzzzzzzz"], "unknown flag --zzzzzzzz: known are --port, --data-dir, --insecure, --origin"],
  [["-p", "1"], "unknown flag -p"],
  [["--constructor"], "unknown flag --constructor"],
  [["--no-insecure"], "unknown flag --no-insecure"],
  [["--port"], "--port needs a value: got none"],
  [["--port", "--insecure"], "--port needs a value: got the next flag, --insecure"],
  [["--port", "1", "--port", "2"], "--port is given twice: got 1 and 2"],
])("%j is refused", (args, message) => {
  expect(() => parseFlags(args, KNOWN)).toThrow(UsageError);
  expect(() => parseFlags(args, KNOWN)).toThrow(message);
});

test("any value at all comes through behind =", () => {
  fc.assert(
    fc.property(fc.string(), (value) => {
      expect(read(`--data-dir=${value}`)).toEqual({ "data-dir": value });
    }),
  );
});

test("whatever the arguments, they are read or refused in words", () => {
  const words = fc.array(
    fc.oneof(fc.constantFrom("--port", "--insecure", "--", "-", "--=", "-x"), fc.string()),
  );
  fc.assert(
    fc.property(words, (args) => {
      let names: readonly string[] = [];
      try {
        names = [...parseFlags(args, KNOWN).values.keys()];
      } catch (error) {
        if (!(error instanceof UsageError)) throw error;
      }
      expect(names.filter((name) => !Object.hasOwn(KNOWN, name))).toEqual([]);
    }),
  );
});
