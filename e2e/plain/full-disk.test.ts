/**
 * A disk that fills up in mid-upload: a 507 that says so, nothing stored is lost, and the upload goes on when there is space.
 *
 * As root on a small tmpfs of its own. Where that can't be mounted a bound stands in for it: `min-free-disk` above what is free,
 * lowered by a restart.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { callHttp, callJson, type HttpAnswer } from "../harness/http-call.js";
import { randomBytesOf } from "../harness/seeded-random.js";
import { makeDataDir, ServerProcess } from "../harness/server-process.js";

const MIB = 1_048_576;
const DISK_MIB = 24;
const TUS = { "Tus-Resumable": "1.0.0" };
const cleanUps: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).toReversed()) await cleanUp();
});

/** A full disk and what frees it. */
interface SmallDisk {
  readonly dataDir: string;
  readonly flags: readonly string[];
  readonly mounted: boolean;
  readonly fill: () => void;
  readonly free: () => void;
}

function makeSmallDisk(): SmallDisk {
  const { dataDir: directory, remove } = makeDataDir();
  cleanUps.push(remove);
  const { status } = spawnSync("mount", ["-t", "tmpfs", "-o", `size=${DISK_MIB}m`, "tmpfs", directory]);
  const mounted = status === 0;
  if (mounted) cleanUps.push(() => void spawnSync("umount", ["-l", directory]));
  const ballast = join(directory, "ballast");
  const dataDir = join(directory, "data");
  mkdirSync(dataDir);
  return {
    dataDir,
    mounted,
    flags: ["--log-level=error", "--min-free-disk=0B"],
    fill: () => {
      const { bavail, bsize } = statfsSync(directory);
      writeFileSync(ballast, Buffer.alloc(Math.max(0, bavail * bsize - 6 * MIB)));
    },
    free: () => rmSync(ballast, { force: true }),
  };
}

test("a disk that fills up while bytes come answers 507, loses nothing, and the upload goes on when there is space", async () => {
  const disk = makeSmallDisk();
  const bytes = randomBytesOf(11, 12 * MIB);
  const tight = disk.mounted ? disk.flags : ["--log-level=error", "--min-free-disk=8191TiB"];
  const open = await ServerProcess.start({ dataDir: disk.dataDir, flags: disk.flags });
  let { server } = open;
  const { url } = open;
  cleanUps.push(async () => await server.kill());
  const port = Number(new URL(url).port);
  const restart = async (flags: readonly string[]): Promise<void> => {
    await server.stop();
    server = (await ServerProcess.start({ dataDir: disk.dataDir, port, flags })).server;
  };
  const patch = async (offset: number): Promise<HttpAnswer> =>
    await callHttp(`${url}/api/v1/uploads/tight`, {
      method: "PATCH",
      headers: { ...TUS, "Upload-Offset": String(offset), "Content-Type": "application/offset+octet-stream" },
      body: bytes.subarray(offset),
    });
  const offsetOf = async (): Promise<number> =>
    Number(
      (await callHttp(`${url}/api/v1/uploads/tight`, { method: "HEAD", headers: TUS })).headers[
        "upload-offset"
      ],
    );

  expect(
    (await callJson(`${url}/api/v1/uploads`, { json: { id: "tight", filename: "t", total: bytes.length } }))
      .status,
  ).toBe(201);
  if (disk.mounted) disk.fill();
  else await restart(tight);
  const refused = await patch(0);
  expect(refused.status).toBe(507);
  expect(refused.headers["content-type"]).toMatch(/^application\/problem\+json/);
  expect(JSON.parse(refused.body.toString())).toMatchObject({ status: 507, code: "INSUFFICIENT_STORAGE" });
  expect(refused.headers["retry-after"]).toMatch(/^\d+$/);
  const stored = await offsetOf();
  if (disk.mounted) expect(stored).toBeGreaterThan(0);
  expect((await callJson(`${url}/api/v1/uploads/tight`)).json).toMatchObject({ uploaded: stored });

  if (disk.mounted) disk.free();
  else await restart(disk.flags);
  expect(await offsetOf()).toBe(stored);
  expect((await patch(stored)).status).toBe(204);
  expect((await callJson(`${url}/api/v1/uploads/tight`)).json["status"]).toBe("completed");
  expect((await callHttp(`${url}/api/v1/uploads/tight/content`)).body.equals(bytes)).toBe(true);
});

test("an upload that can't fit is refused with 507 before its first byte", async () => {
  const { dataDir, remove } = makeDataDir();
  cleanUps.push(remove);
  const { server, url } = await ServerProcess.start({
    dataDir,
    flags: ["--log-level=error", "--min-free-disk=8191TiB"],
  });
  cleanUps.push(async () => await server.kill());
  const refused = await callJson(`${url}/api/v1/uploads`, { json: { filename: "f", total: 1_000 } });
  expect(refused.status).toBe(507);
  expect(refused.json).toMatchObject({ code: "INSUFFICIENT_STORAGE" });
  expect((await callJson(`${url}/api/v1/uploads`)).json["items"]).toEqual([]);
});

test("watchers and other tasks live on while the disk is full to the last byte", async () => {
  const disk = makeSmallDisk();
  const { server, url } = await ServerProcess.start({ dataDir: disk.dataDir, flags: disk.flags });
  cleanUps.push(async () => await server.kill());
  await callJson(`${url}/api/v1/tasks`, { json: { id: "alive", total: 10 } });
  if (disk.mounted) {
    disk.fill();
    const bytes = randomBytesOf(12, 20 * MIB);
    await callJson(`${url}/api/v1/uploads`, { json: { id: "filler", filename: "f" } });
    const filler = await callHttp(`${url}/api/v1/uploads/filler/content`, {
      method: "PUT",
      headers: { "Transfer-Encoding": "chunked" },
      body: async (request) => {
        for (let at = 0; at < bytes.length; at += MIB) {
          if (!request.destroyed) request.write(bytes.subarray(at, at + MIB));
          await new Promise((resolve) => void setTimeout(resolve, 5));
        }
      },
    });
    expect(filler.status).toBe(507);
  }
  expect((await callHttp(`${url}/readyz`)).status).toBe(200);
  const full = await callJson(`${url}/api/v1/tasks/alive/events`, {
    json: { type: "progress", data: { done: 5 } },
  });
  // Where the database can't grow either, that is said, and not half done.
  expect([200, 507]).toContain(full.status);
  disk.free();
  const after = await callJson(`${url}/api/v1/tasks/alive/events`, {
    json: { type: "complete", data: { result: null } },
  });
  expect(after.status).toBe(200);
  expect((await callJson(`${url}/api/v1/tasks/alive`)).json["status"]).toBe("completed");
});
