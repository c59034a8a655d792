/**
 * The fence is only worth what it refuses. Every arrow of ARCHITECTURE.md is crossed here on purpose: each line of ARROWS is a file in a
 * temporary tree laid out like this one, linted once with the repository's own configuration, one import a line.
 */
import { execFileSync, spawnSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));
const oxlint = join(root, "node_modules", "oxlint", "bin", "oxlint");

interface Arrows {
  readonly refused: readonly string[];
  readonly allowed: readonly string[];
}

/** A file by its place in the tree → what it may not import, and what it may. */
const ARROWS: { readonly [file: string]: Arrows } = {
  "packages/protocol/src/x.ts": {
    refused: [
      "@holdfast/stream",
      "@holdfast/stream/codec",
      "@holdfast/server",
      "node:fs",
      "pino",
      "../../stream/src/codec.js",
    ],
    allowed: ["./cursor.js"],
  },
  "packages/protocol/src/x.test.ts": {
    refused: ["@holdfast/stream", "../../stream/src/codec.js"],
    allowed: ["vitest", "fast-check", "node:fs", "./cursor.js"],
  },
  "packages/stream/src/x.ts": {
    refused: [
      "@holdfast/protocol",
      "@holdfast/server",
      "node:http",
      "node:fs/promises",
      "pino",
      "./node-sink.js",
      "../../server/src/errors.js",
    ],
    allowed: ["./sink.js"],
  },
  "packages/stream/src/codec.ts": {
    refused: ["node:buffer", "./node-sink.js", "./node-sink-http2.js", "@holdfast/protocol"],
    allowed: ["./record.js"],
  },
  "packages/stream/src/index.ts": {
    refused: ["@holdfast/protocol", "node:http", "pino"],
    allowed: ["./node-sink.js", "./codec.js"],
  },
  "packages/stream/src/node-sink.ts": {
    refused: ["@holdfast/protocol", "pino", "fastify", "nodemailer", "../../server/src/errors.js"],
    allowed: ["node:http", "node:stream/promises", "./sink.js"],
  },
  "packages/stream/src/x.test.ts": {
    refused: ["@holdfast/server", "@holdfast/protocol"],
    allowed: ["vitest", "node:http", "./node-sink.js"],
  },
  "packages/client/src/x.ts": {
    refused: [
      "@holdfast/server",
      "@holdfast/cli",
      "@holdfast/stream",
      "@holdfast/stream/src/codec.js",
      "node:fs",
      "node:fs/promises",
      "../../stream/dist/codec.js",
    ],
    allowed: ["@holdfast/protocol", "@holdfast/stream/codec", "tus-js-client", "./backoff.js"],
  },
  "packages/client/src/node.ts": {
    refused: ["@holdfast/server", "@holdfast/stream"],
    allowed: ["node:fs", "@holdfast/protocol"],
  },
  "packages/client/src/x.test.ts": {
    refused: ["@holdfast/server", "../../server/src/index.js"],
    allowed: ["node:http", "vitest", "@holdfast/stream/codec"],
  },
  "packages/server/src/x.ts": {
    refused: [
      "@holdfast/client",
      "@holdfast/cli",
      "@holdfast/web",
      "@holdfast/stream/testing",
      "@holdfast/protocol/src/id.js",
      "../../client/src/index.js",
      "../../../web/src/app.js",
    ],
    allowed: [
      "@holdfast/protocol",
      "@holdfast/stream",
      "@holdfast/stream/codec",
      "fastify",
      "node:http",
      "./http/door.js",
    ],
  },
  "packages/server/src/http/x.ts": {
    refused: ["@holdfast/client", "../../../client/src/index.js"],
    allowed: ["../uploads/receive.js", "../tasks/tasks.js", "../stores/sqlite-store.js"],
  },
  "packages/server/src/uploads/x.ts": {
    refused: ["@holdfast/cli"],
    allowed: ["../blobs/blob-store.js", "../tasks/tasks.js"],
  },
  "packages/server/src/tasks/x.ts": {
    refused: [
      "../stores/sqlite-store.js",
      "../stores/memory-store.js",
      "../http/door.js",
      "../http.js",
      "../uploads/receive.js",
      "../blobs/blob-store.js",
      "@holdfast/client",
    ],
    allowed: ["../stores/store.js", "../errors.js", "@holdfast/protocol", "./lifecycle.js"],
  },
  "packages/server/src/tasks/deep/x.ts": {
    refused: ["../../stores/sqlite-store.js", "../../http/door.js", "../../../../client/src/index.js"],
    allowed: ["../../stores/store.js"],
  },
  "packages/server/src/tasks/x.test.ts": {
    refused: ["@holdfast/client"],
    allowed: ["../stores/memory-store.js", "vitest"],
  },
  "packages/server/src/testing/x.ts": {
    refused: ["@holdfast/client"],
    allowed: ["@holdfast/stream/testing", "../stores/memory-store.js"],
  },
  "packages/server/src/stores/x.ts": {
    refused: ["../http/door.js", "../uploads/receive.js", "@holdfast/client"],
    allowed: ["../tasks/task-row.js", "./sqlite-schema.js", "@photostructure/sqlite"],
  },
  "packages/server/src/blobs/x.ts": {
    refused: [
      "../tasks/tasks.js",
      "../http/door.js",
      "../uploads/receive.js",
      "../stores/store.js",
      "@holdfast/client",
    ],
    allowed: ["../errors.js", "node:fs/promises", "./blob-store.js"],
  },
  "packages/cli/src/x.ts": {
    refused: ["../../server/src/index.js", "@holdfast/server/dist/index.js"],
    allowed: ["@holdfast/server", "@holdfast/client", "@holdfast/protocol", "@holdfast/stream", "node:util"],
  },
  "web/src/x.ts": {
    refused: [
      "@holdfast/protocol",
      "@holdfast/stream/codec",
      "@holdfast/server",
      "node:fs",
      "../../packages/client/src/index.js",
    ],
    allowed: ["@holdfast/client", "@holdfast/client/react", "preact", "./app.js"],
  },
  "web/src/x.tsx": { refused: ["@holdfast/server"], allowed: ["@holdfast/client"] },
  "web/src/x.test.ts": { refused: ["@holdfast/server"], allowed: ["vitest", "node:fs"] },
  "e2e/x.ts": {
    refused: ["../packages/server/src/index.js", "@holdfast/server/src/index.js"],
    allowed: ["@holdfast/server", "@holdfast/client", "./browser.js"],
  },
  "bench/x.ts": {
    refused: ["../packages/stream/src/index.js"],
    allowed: ["@holdfast/server", "@holdfast/stream"],
  },
  "conformance/x.ts": {
    refused: ["@holdfast/server", "@holdfast/client", "../packages/server/src/index.js"],
    allowed: ["@holdfast/protocol", "node:http"],
  },
};

/** Every way TypeScript has to name another module, on one line each; `n` keeps the names of one file apart. */
const FORMS: { readonly [form: string]: (specifier: string, n: number) => string } = {
  "a value import": (specifier, n) => `import { thing as t${n} } from "${specifier}"; t${n}();`,
  "a type import": (specifier, n) =>
    `import type { Thing as T${n} } from "${specifier}"; export type M${n} = T${n};`,
  "a re-export": (specifier, n) => `export { thing as r${n} } from "${specifier}";`,
  "a dynamic import": (specifier, n) => `export const d${n}: unknown = await import("${specifier}");`,
};

/** A file of fixtures: for each specifier in turn, one line in each form. */
function fixture({ refused, allowed }: Arrows): string {
  let source = "";
  let n = 0;
  for (const specifier of [...refused, ...allowed]) {
    for (const write of Object.values(FORMS)) source += `${write(specifier, n++)}\n`;
  }
  return source;
}

/** The part of oxlint's JSON report that is read here. */
interface Report {
  readonly number_of_files: number;
  readonly diagnostics: readonly {
    code?: string;
    filename: string;
    labels: readonly { span: { line: number } }[];
  }[];
}

function lint(directory: string, paths: readonly string[]): Report {
  // Exit code 1 only says that there are findings; a broken run has no JSON and fails in parse.
  const { stdout, stderr } = spawnSync(process.execPath, [oxlint, "--format=json", ...paths], {
    cwd: directory,
    encoding: "utf8",
    maxBuffer: 64 << 20,
  });
  if (!stdout.trimStart().startsWith("{")) throw new Error(`oxlint gave no report: ${stdout}${stderr}`);
  return JSON.parse(stdout) as Report;
}

const tree = mkdtempSync(join(tmpdir(), "holdfast-fence-"));
// Named one by one, lest the walk follow the link to node_modules.
const rooms: readonly string[] = [
  ...new Set(Object.keys(ARROWS).map((file) => file.slice(0, file.indexOf("/")))),
];
let report: Report;
let fenced: ReadonlySet<string>;

beforeAll(() => {
  copyFileSync(join(root, ".oxlintrc.json"), join(tree, ".oxlintrc.json"));
  symlinkSync(join(root, "node_modules"), join(tree, "node_modules"), "dir");
  for (const [file, arrows] of Object.entries(ARROWS)) {
    mkdirSync(dirname(join(tree, file)), { recursive: true });
    writeFileSync(join(tree, file), fixture(arrows));
  }
  report = lint(tree, rooms);
  fenced = new Set(
    report.diagnostics
      .filter(({ code }) => code === "eslint(no-restricted-imports)")
      .map(({ filename, labels }) => `${filename}:${labels[0]?.span.line}`),
  );
}, 60_000);

afterAll(() => rmSync(tree, { recursive: true, force: true }));

/** The forms in which lint refused the import at this place of the fixture. */
function refusedForms(file: string, place: number): readonly string[] {
  const forms = Object.keys(FORMS);
  return forms.filter((_, form) => fenced.has(`${file}:${place * forms.length + form + 1}`));
}

describe.each(Object.entries(ARROWS))("%s", (file, { refused, allowed }) => {
  test.each(refused.map((specifier, place) => ({ specifier, place })))(
    "may not import $specifier",
    ({ place }) => {
      expect(refusedForms(file, place)).toEqual(Object.keys(FORMS));
    },
  );
  test.each(allowed.map((specifier, place) => ({ specifier, place: refused.length + place })))(
    "may import $specifier",
    ({ place }) => {
      expect(refusedForms(file, place)).toEqual([]);
    },
  );
});

test("a type named by import() in place, which the fence can't see, is refused by a rule of its own", () => {
  const file = "packages/client/src/inline.ts";
  writeFileSync(join(tree, file), 'export type Sneaked = import("@holdfast/server").Holdfast;\n');
  expect(lint(tree, rooms).diagnostics).toContainEqual(
    expect.objectContaining({ filename: file, code: "typescript(consistent-type-imports)" }),
  );
});

test("lint reads every fixture", () => {
  expect(report.number_of_files).toBe(Object.keys(ARROWS).length);
});

test("lint reads every source file of this repository", () => {
  const tracked = execFileSync("git", ["ls-files", "-z", "--", "*.ts", "*.tsx", "*.mjs"], {
    cwd: root,
    encoding: "utf8",
  });
  // The index is a lower bound: new files are linted before they are tracked.
  const sources = tracked.split("\0").filter((name) => name !== "" && existsSync(join(root, name)));
  expect(sources.length).toBeGreaterThan(0);
  // Without rules: which files are read is the question here, what is in them that of the lint step.
  expect(lint(root, ["--allow=all", "."]).number_of_files).toBeGreaterThanOrEqual(sources.length);
}, 60_000);
