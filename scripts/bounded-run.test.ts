import { existsSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { runBounded } from "./bounded-run.mjs";

/** A process that has ended but that nobody has asked about yet (a zombie) is gone as well. */
function isGone(pid: string): boolean {
  const file = `/proc/${pid.trim()}/stat`;
  try {
    return readFileSync(file, "utf8").includes(") Z ");
  } catch {
    return existsSync("/proc/self/stat"); // without /proc nothing can be told, and the wait below fails
  }
}

test("a command over its bound is killed together with what it started", async () => {
  const { ok, verdict, output } = await runBounded(["sh", "-c", "sleep 60 & echo $!; sleep 60"], {
    cwd: ".",
    // Enough for a shell to begin, on a busy machine too.
    maxSeconds: 2,
  });
  expect({ ok, verdict }).toEqual({ ok: false, verdict: "killed after 2 s" });
  expect(output).toMatch(/^\d+\s*$/);
  await expect.poll(() => isGone(output)).toBe(true);
});

test("what a command leaves behind goes when the command ends", async () => {
  const { ok, output } = await runBounded(["sh", "-c", "sleep 60 & echo $!"], { cwd: ".", maxSeconds: 20 });
  expect(ok).toBe(true);
  expect(output).toMatch(/^\d+\s*$/);
  await expect.poll(() => isGone(output)).toBe(true);
});

test("a command that can't be started is a verdict, not an exception", async () => {
  const { ok, verdict } = await runBounded(["/no/such/command"], { cwd: ".", maxSeconds: 5 });
  expect(ok).toBe(false);
  expect(verdict).toContain("ENOENT");
});
