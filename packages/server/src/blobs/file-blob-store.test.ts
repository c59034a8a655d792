/**
 * Bytes in files: what grows, what never does, and what a disk's refusals become.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { AppendOptions } from "./blob-store.js";
import { FileBlobStore } from "./file-blob-store.js";

const KEY = "0123456789abcdef0123456789abcdef";

let directory: string;
let blobs: FileBlobStore;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "holdfast-blobs-"));
  blobs = new FileBlobStore(join(directory, "blobs"));
});

afterEach(() => rmSync(directory, { recursive: true, force: true }));

const path = (): string => join(directory, "blobs", KEY.slice(0, 2), KEY);
const stored = (): string => readFileSync(path(), "utf8");

async function fill(content: string): Promise<void> {
  await blobs.append(KEY, Readable.from([Buffer.from(content)]), at(0));
}

function at(offset: number, fields: Partial<AppendOptions> = {}): AppendOptions {
  return { offset, onStored: () => undefined, signal: new AbortController().signal, ...fields };
}

async function text(stream: Readable): Promise<string> {
  return (await stream.toArray()).join("");
}

test("however a body is cut into chunks and bodies, the file is their sequence and onStored its length", async () => {
  const chunk = fc.string({ unit: "grapheme-ascii", maxLength: 300 });
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(chunk, { maxLength: 20 }), { maxLength: 4 }), async (bodies) => {
      await blobs.remove(KEY);
      let length = 0;
      const heard: number[] = [];
      for (const body of bodies) {
        const source = Readable.from(body.filter((one) => one !== "").map((one) => Buffer.from(one)));
        length = await blobs.append(KEY, source, at(length, { onStored: (now) => heard.push(now) }));
        expect(heard.at(-1) ?? 0).toBe(length);
      }
      if (bodies.length > 0) expect(stored()).toBe(bodies.flat().join(""));
      expect(heard).toEqual(heard.toSorted((a, b) => a - b));
      expect(await blobs.length(KEY)).toBe(length);
    }),
    { numRuns: 60 },
  );
});

test("a source that breaks, is destroyed, or was gone before leaves what arrived, never padding", async () => {
  const breaking = new PassThrough();
  const appending = blobs.append(
    KEY,
    breaking,
    at(0, { onStored: () => breaking.destroy(new Error("reset")) }),
  );
  breaking.write("abc");
  expect(await appending).toBe(3);
  const leaving = new PassThrough();
  const second = blobs.append(KEY, leaving, at(3, { onStored: () => leaving.destroy() }));
  leaving.write("de");
  expect(await second).toBe(5);
  expect(await blobs.append(KEY, leaving, at(5))).toBe(5);
  expect(stored()).toBe("abcde");
});

test("an aborted signal stops the body, also one that was aborted before", async () => {
  const stop = new AbortController();
  const source = new PassThrough();
  const appending = blobs.append(KEY, source, at(0, { signal: stop.signal, onStored: () => stop.abort() }));
  source.write("abc");
  expect(await appending).toBe(3);
  source.write("never");
  const late = Readable.from([Buffer.from("never")]);
  expect(await blobs.append(KEY, late, at(3, { signal: stop.signal }))).toBe(3);
  expect(stored()).toBe("abc");
});

test.each([2, 4])("a file of 3 bytes is not written to at %i", async (offset) => {
  await fill("abc");
  await expect(blobs.append(KEY, Readable.from([Buffer.from("x")]), at(offset))).rejects.toMatchObject({
    code: "OFFSET_MISMATCH",
  });
  expect(stored()).toBe("abc");
});

test("a slow disk holds the source back: what waits in memory is bounded", async () => {
  let produced = 0;
  let storedBytes = 0;
  let most = 0;
  const source = new Readable({
    highWaterMark: 65_536,
    read() {
      most = Math.max(most, produced - storedBytes);
      if (produced >= 33_554_432) return void this.push(null);
      produced += 65_536;
      this.push(Buffer.alloc(65_536));
    },
  });
  await blobs.append(KEY, source, at(0, { onStored: (length) => (storedBytes = length) }));
  expect(storedBytes).toBe(33_554_432);
  // What is being written, what waits for it, and one chunk on each side.
  expect(most).toBeLessThan(3 * 1_048_576);
});

test("keys that are not ours never become paths", async () => {
  await fill("abc");
  for (const key of ["../../etc/passwd", "", `${KEY}/x`, KEY.toUpperCase(), `${KEY}\n`, `${KEY}\0`]) {
    await expect(blobs.append(key, Readable.from([]), at(0))).rejects.toMatchObject({ code: "INTERNAL" });
    await expect(blobs.remove(key)).rejects.toMatchObject({ code: "INTERNAL" });
    expect(() => blobs.read(key, { start: 0, end: 1 })).toThrow(/not a key/);
  }
  expect(readdirSync(directory)).toEqual(["blobs"]);
});

test("what does not exist has length 0, can be removed and synced, and can be begun but not gone on with", async () => {
  expect(await blobs.length(KEY)).toBe(0);
  await blobs.remove(KEY);
  await blobs.sync(KEY);
  await expect(blobs.append(KEY, Readable.from([]), at(1))).rejects.toMatchObject({
    code: "STORE_UNAVAILABLE",
  });
  expect(await blobs.append(KEY, Readable.from([]), at(0))).toBe(0);
});

test("a range is read with its end left out", async () => {
  await fill("0123456789");
  expect(await text(blobs.read(KEY, { start: 2, end: 5 }))).toBe("234");
  expect(await text(blobs.read(KEY, { start: 0, end: 10 }))).toBe("0123456789");
});

test("a directory that may not be made is said, and asks to be tried again", async () => {
  writeFileSync(join(directory, "blobs"), "a file where the directory belongs");
  await expect(fill("abc")).rejects.toMatchObject({ code: "STORE_UNAVAILABLE", retryAfterSeconds: 5 });
  await expect(blobs.freeBytes()).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
});
