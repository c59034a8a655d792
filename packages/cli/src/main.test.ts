import { createServer } from "node:net";
import { EventEmitter, once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { CommandIo } from "./command-io.js";
import { main } from "./main.js";
import { SETTING_NAMES } from "./settings.js";

const SECRET = "s".repeat(32);

class FakeProcess implements CommandIo {
  readonly env: { [name: string]: string } = {};
  readonly signals: EventEmitter = new EventEmitter();
  readonly exits: number[] = [];
  out = "";
  err = "";
  readonly stdout = {
    write: (text: string): void => {
      this.out += text;
    },
  };
  readonly stderr = { write: (text: string): void => void (this.err += text) };
  readonly exit = (code: number): void => void this.exits.push(code);

  /** Waits for a log line with a URL. */
  async url(): Promise<string> {
    const found = (): string | undefined => this.out.split("\n").find((line) => line.includes('"url"'));
    const line = await vi.waitUntil(found, { timeout: 15_000, interval: 5 });
    return String((JSON.parse(line) as { url: unknown }).url);
  }
}

let io: FakeProcess;
let directory: string;

beforeEach(() => {
  io = new FakeProcess();
  directory = mkdtempSync(join(tmpdir(), "holdfast-cli-"));
});

afterEach(() => rmSync(directory, { recursive: true, force: true }));

async function serveOn(...flags: readonly string[]): Promise<number> {
  return main(["serve", "--port", "0", "--data-dir", join(directory, "data"), ...flags], io);
}

test("serve answers at the URL it prints, and ends with 0 on SIGTERM", async () => {
  const code = serveOn();
  const answer = await fetch(`${await io.url()}/healthz`);
  expect(answer.status).toBe(200);
  io.signals.emit("SIGTERM");
  expect(await code).toBe(0);
  await expect(fetch(`${await io.url()}/healthz`)).rejects.toThrow("fetch failed");
  expect(io.signals.eventNames()).toEqual([]);
  expect(io.err).toBe("");
});

test("the URL is printed at every log level", async () => {
  const code = serveOn("--log-level", "error");
  expect(await io.url()).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
  io.signals.emit("SIGINT");
  expect(await code).toBe(0);
});

test("a second signal ends the process at once with 1", async () => {
  const code = serveOn();
  await io.url();
  io.signals.emit("SIGINT");
  expect(io.exits).toEqual([]);
  io.signals.emit("SIGINT");
  expect(io.exits).toEqual([1]);
  await code;
});

test("a signal during the start is not lost", async () => {
  const listening = new Promise<void>((resolve) => {
    io.signals.on("newListener", (name) => void (name === "SIGTERM" && resolve()));
  });
  const code = serveOn();
  await listening;
  io.signals.emit("SIGTERM");
  expect(await code).toBe(0);
});

test("a port that is taken is one line on stderr and 1", async () => {
  const taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  const { port } = taken.address() as AddressInfo;
  const code = await main(["serve", `--port=${port}`, "--data-dir", directory], io);
  taken.close();
  expect(code).toBe(1);
  expect(io.err).toMatch(new RegExp(`^holdfast: port ${port} on 127\\.0\\.0\\.1 is taken[^\n]*\n$`));
});

test("a data directory that is a file is one line on stderr and 1", async () => {
  const file = join(directory, "file");
  writeFileSync(file, "");
  expect(await main(["serve", "--port", "0", "--data-dir", file], io)).toBe(1);
  expect(io.err).toMatch(/^holdfast: [^\n]+\n$/);
  expect(io.err).toContain(file);
});

test("a data directory that another server holds is one line on stderr and 1", async () => {
  const first = serveOn();
  await io.url();
  const second = new FakeProcess();
  expect(await main(["serve", "--port", "0", "--data-dir", join(directory, "data")], second)).toBe(1);
  expect(second.err).toMatch(/^holdfast: [^\n]+\n$/);
  io.signals.emit("SIGTERM");
  await first;
});

test("beyond loopback without anything that decides who may, the start is refused", async () => {
  expect(await serveOn("--host", "0.0.0.0")).toBe(1);
  expect(io.err).toContain("auth-secret");
});

test.each([
  [["serv"], "unknown command serv: did you mean serve?"],
  [["serve", "--prot", "1"], "unknown flag --prot: did you mean --port?"],
  [["serve", "now"], "serve takes flags only: got now"],
  [["serve", "--tls-cert", "no.pem", "--tls-key", "no.pem"], "tls-cert can't be read: ENOENT"],
  [["token", "--scope", "watch"], "token needs the auth-secret"],
  [["token", "--auth-secret", SECRET], "--scope is missing"],
  [
    ["token", "--auth-secret", SECRET, "--scope", "all"],
    '--scope must be one of watch, upload, produce, admin: got "all"',
  ],
  [
    ["token", "--auth-secret", SECRET, "--scope", "watch", "--expires", "60"],
    "--expires must be a duration with a unit",
  ],
  [["token", "--auth-secret", SECRET, "--scope", "watch", "--task", "../x"], "--task must be 1 to 64 of"],
  [["token", "--port", "1"], "unknown flag --port"],
])("%j is wrongly called: one line and 2", async (args, message) => {
  expect(await main(args, io)).toBe(2);
  expect(io.err).toContain(`holdfast: ${message}`);
  expect(io.err.split("\n")).toHaveLength(2);
});

test("a key where the certificate belongs is refused before anything is opened", async () => {
  const key = join(directory, "key.pem");
  writeFileSync(key, "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n");
  expect(await serveOn("--tls-cert", key, "--tls-key", key)).toBe(2);
  expect(io.err).toBe(
    `holdfast: tls-cert must hold a PEM block of a certificate: got ${key}, which has none\n`,
  );
  expect(existsSync(join(directory, "data"))).toBe(false);
});

test("an unknown HOLDFAST_ variable is refused", async () => {
  io.env["HOLDFAST_PROT"] = "1";
  expect(await main(["serve"], io)).toBe(2);
  expect(io.err).toBe("holdfast: unknown environment variable HOLDFAST_PROT: did you mean HOLDFAST_PORT?\n");
});

test("token prints a token that the server of the same secret accepts, for its task alone", async () => {
  io.env["HOLDFAST_AUTH_SECRET"] = SECRET;
  expect(await main(["token", "--scope", "watch,upload", "--task", "abc", "--expires", "1min"], io)).toBe(0);
  const bearer = { Authorization: `Bearer ${io.out.trim()}` };
  const server = new FakeProcess();
  server.env["HOLDFAST_AUTH_SECRET"] = SECRET;
  const code = main(["serve", "--port", "0", "--data-dir", directory], server);
  const api = `${await server.url()}/api/v1`;
  const statuses = await Promise.all(
    ["/tasks/abc", "/tasks/other"].map(async (path) => (await fetch(api + path, { headers: bearer })).status),
  );
  expect(statuses).toEqual([404, 403]);
  server.signals.emit("SIGTERM");
  await code;
});

test.each([
  [["--help"], "Usage: holdfast <command>"],
  [[], "Usage: holdfast <command>"],
  [["help", "serve"], "Usage: holdfast serve"],
  [["serve", "--help"], "--progress-interval <duration>"],
  [["token", "--help"], "--scope <watch|upload|produce|admin>"],
  [["--version"], "0."],
])("%j prints what it is asked for, and 0", async (args, text) => {
  expect(await main(args, io)).toBe(0);
  expect(io.out).toContain(text);
});

test("serve --help lists every setting", async () => {
  await main(["serve", "--help"], io);
  expect(SETTING_NAMES.filter((name) => !io.out.includes(`--${name}`))).toEqual([]);
});
