import fc from "fast-check";
import { expect, test } from "vitest";
import { parseByteCount, parseTusMetadata, toFilename } from "./tus-headers.js";

const base64 = (text: string): string => Buffer.from(text).toString("base64");

test("a byte count is a whole number that can be counted exactly, or refused", () => {
  expect(parseByteCount("Upload-Length", "0")).toBe(0);
  expect(parseByteCount("Upload-Length", "9007199254740991")).toBe(Number.MAX_SAFE_INTEGER);
  const wrong = ["", " 1", "1 ", "+1", "-1", "1.0", "1e3", "0x10", "12abc", "9007199254740992", "1, 1", "١"];
  for (const text of wrong) {
    expect(() => parseByteCount("Upload-Length", text)).toThrow(/Upload-Length must be a whole number/);
  }
});

test("metadata is read as it was written, whatever the values are", () => {
  const key = fc
    .stringMatching(/^[!-+\--~]{1,20}$/)
    .filter((one) => !["taskId", "batchId", "processing", "filename"].includes(one));
  fc.assert(
    fc.property(fc.dictionary(key, fc.string({ unit: "grapheme" })), (pairs) => {
      const raw = Object.entries(pairs)
        .map(([name, value]) => `${name} ${base64(value)}`)
        .join(",");
      const { rest } = parseTusMetadata(raw);
      expect(new Map(Object.entries(rest))).toEqual(new Map(Object.entries(pairs)));
    }),
  );
});

test("known keys are told apart from metadata, and a key alone has an empty value", () => {
  const raw = `filename ${base64("a b.txt")},taskId ${base64("t-1")},batchId ${base64("b_1")},processing ${base64("external")},flag`;
  expect(parseTusMetadata(raw)).toEqual({
    raw,
    filename: "a b.txt",
    taskId: "t-1",
    batchId: "b_1",
    processing: "external",
    rest: { flag: "" },
  });
});

test.each([
  ["no base64", "a !!!", "INVALID_REQUEST"],
  ["a key twice", "a YQ==,a YQ==", "INVALID_REQUEST"],
  ["an empty pair", "a YQ==,,b YQ==", "INVALID_REQUEST"],
  ["an id that climbs", `taskId ${base64("../x")}`, "INVALID_FIELD"],
  ["an id with NUL", `taskId ${base64("a\0b")}`, "INVALID_FIELD"],
  ["an id of 10 kB", `batchId ${base64("a".repeat(10_240))}`, "INVALID_FIELD"],
  ["a way of processing that there is not", `processing ${base64("later")}`, "INVALID_FIELD"],
])("metadata with %s is refused", (_name, raw, code) => {
  expect(() => parseTusMetadata(raw)).toThrow(expect.objectContaining({ code }));
});

test("arbitrary text is metadata or a refusal of ours, nothing else", () => {
  fc.assert(
    fc.property(fc.string(), (raw) => {
      try {
        parseTusMetadata(raw);
      } catch (error) {
        expect(error).toMatchObject({ name: "HoldfastError" });
      }
    }),
  );
});

test("a file name is what is left of a path, without what controls a header or a terminal", () => {
  expect(toFilename("../../etc/passwd")).toBe("passwd");
  expect(toFilename("C:\\fake\\a.txt")).toBe("a.txt");
  expect(toFilename("a\r\nb\u202e.txt")).toBe("ab.txt");
  expect(toFilename("..")).toBe("..");
  expect(toFilename("/")).toBeNull();
  expect(toFilename("n".repeat(300))).toHaveLength(255);
});
