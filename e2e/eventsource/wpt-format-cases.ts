/** What stands in a stream, and what is heard of it: the `format-*` and `event-data` files. A table first; what it can't say follows. */
import type { Heard, Trial } from "./trial.js";
import type { WptCase } from "./wpt-case.js";

interface FormatRow {
  readonly file: string;
  /** Body of the response; "\n\n" and another "\n" follow it unless `bare`, then only the last. */
  readonly message: string;
  readonly bare?: true;
  readonly mime?: string;
  /** Data of the events named `message`, or pairs of name and data. */
  readonly heard: readonly (string | readonly [type: string, data: string])[];
}

const LONG = "x".repeat(2048);

const ROWS: readonly FormatRow[] = [
  { file: "format-bom.any.js", message: "\uFEFFdata:1\n\n\uFEFFdata:2\n\ndata:3", heard: ["1", "3"] },
  { file: "format-bom-2.any.js", message: "\uFEFF\uFEFFdata:1\n\ndata:2\n\ndata:3", heard: ["2", "3"] },
  {
    file: "format-comments.any.js",
    message: `data:1\r:\0\n:\r\ndata:2\n:${LONG}\rdata:3\n:data:fail\r:${LONG}\ndata:4\n`,
    bare: true,
    heard: ["1\n2\n3\n4"],
  },
  {
    file: "format-field-data.any.js",
    message: "data:\n\ndata\ndata\n\ndata:test",
    heard: ["", "\n", "test"],
  },
  { file: "format-field-event-empty.any.js", message: "event: \ndata:data", heard: ["data"] },
  {
    file: "format-field-event.any.js",
    message: "event:test\ndata:x\n\ndata:x",
    heard: [
      ["test", "x"],
      ["message", "x"],
    ],
  },
  {
    file: "format-field-parsing.any.js",
    message:
      "data:\0\ndata:  2\rData:1\ndata\0:2\ndata:1\r\0data:4\nda-ta:3\rdata_5\ndata:3\rdata:\r\n data:32\ndata:4\n",
    bare: true,
    heard: ["\0\n 2\n1\n3\n\n4"],
  },
  { file: "format-field-retry-empty.any.js", message: "retry\ndata:test", heard: ["test"] },
  {
    file: "format-field-unknown.any.js",
    message: "data:test\n data\ndata\nfoobar:xxx\njustsometext\n:thisisacommentyay\ndata:test",
    heard: ["test\n\ntest"],
  },
  {
    file: "format-leading-space.any.js",
    message: "data:\ttest\rdata: \ndata:test",
    heard: ["\ttest\n\ntest"],
  },
  {
    file: "format-newlines.any.js",
    message: "data:test\r\ndata\ndata:test\r\n\r",
    bare: true,
    heard: ["test\n\ntest"],
  },
  { file: "format-null-character.any.js", message: "data:\0\n\n", heard: ["\0"] },
  {
    file: "format-utf-8.any.js",
    message: "data:ok…",
    mime: "text/event-stream;charset=windows-1252",
    heard: ["ok…"],
  },
];

function address({ message, bare, mime }: Omit<FormatRow, "file" | "heard">): string {
  const query = new URLSearchParams({ message });
  if (bare) query.set("newline", "none");
  if (mime !== undefined) query.set("mime", mime);
  return `resources/message.py?${query.toString()}`;
}

function toCase(row: FormatRow): WptCase {
  const expected = row.heard.map((event) => (typeof event === "string" ? ["message", event] : event));
  return {
    file: row.file,
    subtest: "",
    async run(trial) {
      const source = trial.source(address(row));
      trial.never(source, "error");
      const heard = await trial.messages(source, expected.length, ["message", "test"]);
      trial.equal(
        heard.map(([type, data]) => [type, data]),
        expected,
        "events",
      );
    },
  };
}

/** The second opening comes after the reconnection time, less a quarter; WPT also says at most a quarter later, which a busy machine is not. */
async function assertReturnsAfter3s(trial: Trial, message: string): Promise<void> {
  const source = trial.source(address({ message }));
  await trial.next(source, "open");
  const openedMs = performance.now();
  await trial.next(source, "open");
  const pastMs = performance.now() - openedMs;
  if (pastMs < 2250 || pastMs > 15_000) throw new Error(`came back after ${pastMs} ms, expected 3000`);
}

async function assertHeard(trial: Trial, url: string, expected: readonly Heard[]): Promise<void> {
  const heard = await trial.messages(trial.source(url), expected.length);
  trial.equal(heard, expected, "events");
}

const ids = (file: string, type: number, subtest: string, expected: readonly Heard[]): WptCase => ({
  file,
  subtest,
  run: async (trial) => await assertHeard(trial, `resources/last-event-id2.py?type=${type}`, expected),
});

const ID_3 = "format-field-id-3.window.js";
const RESET: readonly Heard[] = [
  ["message", "1", "1"],
  ["message", "2", ""],
  ["message", "3", ""],
];

export const FORMAT_CASES: readonly WptCase[] = [
  ...ROWS.map(toCase),
  {
    file: "event-data.any.js",
    subtest: "",
    async run(trial) {
      const heard = await trial.messages(trial.source("resources/message2.py"), 3);
      trial.equal(
        heard.map(([, data]) => data),
        ["msg\nmsg", "", "end"],
        "data",
      );
    },
  },
  {
    file: "format-data-before-final-empty-line.any.js",
    subtest: "",
    run: async (trial) =>
      await assertHeard(
        trial,
        address({ message: "retry:1000\ndata:test1\n\nid:test\ndata:test2", bare: true }),
        // The second is the first again, after a reconnect.
        [
          ["message", "test1", ""],
          ["message", "test1", ""],
        ],
      ),
  },
  {
    file: "format-field-id.any.js",
    subtest: "",
    run: async (trial) =>
      await assertHeard(trial, "resources/last-event-id.py", [
        ["message", "hello", "…"],
        ["message", "…", "…"],
      ]),
  },
  {
    file: "format-field-id-2.any.js",
    subtest: "",
    run: async (trial) =>
      await assertHeard(trial, "resources/last-event-id.py", [
        ["message", "hello", "…"],
        ["message", "…", "…"],
        ["message", "…", "…"],
      ]),
  },
  ids(ID_3, 1, "lastEventId persists", [
    ["message", "1", "1"],
    ["message", "2", "1"],
    ["message", "3", "2"],
    ["message", "4", "2"],
  ]),
  ids(ID_3, 2, "lastEventId resets", RESET),
  ids(ID_3, 3, "lastEventId resets (id without colon)", RESET),
  ...["\0\0", "x\0", "\0x", "x\0x", " \0"].map((id): WptCase => ({
    file: "format-field-id-null.window.js",
    subtest: `id field set to ${encodeURIComponent(id)}`,
    run: async (trial) =>
      await assertHeard(trial, `resources/last-event-id.py?idvalue=${encodeURIComponent(id)}`, [
        ["message", "hello", ""],
        ["message", "hello", ""],
      ]),
  })),
  {
    file: "format-field-retry.any.js",
    subtest: "",
    run: async (trial) => await assertReturnsAfter3s(trial, "retry:03000\ndata:x"),
  },
  {
    file: "format-field-retry-bogus.any.js",
    subtest: "",
    run: async (trial) => await assertReturnsAfter3s(trial, "retry:3000\nretry:1000x\ndata:x"),
  },
  ...[
    ["format-mime-bogus.any.js", "x bogus"],
    ["format-mime-valid-bogus.any.js", "text/x-bogus"],
  ].map(([file = "", mime = ""]): WptCase => ({
    file,
    subtest: "",
    async run(trial) {
      const source = trial.source(address({ message: "data: data", mime }));
      trial.never(source, "message", "open");
      const error = await trial.next(source, "error");
      trial.equal(source.readyState, 2, "readyState");
      trial.equal(
        ["data" in error, error.bubbles, error.cancelable],
        [false, false, false],
        "a simple event",
      );
    },
  })),
  {
    file: "format-mime-trailing-semicolon.any.js",
    subtest: "",
    async run(trial) {
      const source = trial.source(address({ message: "data: data", mime: "text/event-stream;" }));
      trial.never(source, "error");
      await trial.next(source, "open");
      trial.equal(source.readyState, 1, "readyState");
    },
  },
];
