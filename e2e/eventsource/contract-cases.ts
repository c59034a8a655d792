/**
 * The cases of launchdarkly/sse-contract-tests in our own words, named after theirs: what a server sends on each connection, what a client
 * must hear, and what it must have asked. Of their 113 one does not apply: no client here can be told to restart.
 */

/** As `[type, data, last event id]`. */
export type Heard = readonly [type: string, data: string, id: string];

export interface ContractCase {
  readonly name: string;
  /** Pieces that arrive one by one, for each connection; all but the last connection break behind them. */
  readonly connections: readonly (readonly (string | Uint8Array)[])[];
  readonly heard: readonly Heard[];
  /** `Last-Event-ID` of each request. */
  readonly ids?: readonly (string | undefined)[];
  /** The connection breaks by itself: the client has to find out that nothing comes any more. */
  readonly silent?: true;
}

const message = (data: string, id = ""): Heard => ["message", data, id];

const parse = (
  name: string,
  pieces: readonly (string | Uint8Array)[],
  ...heard: readonly Heard[]
): ContractCase => ({
  name,
  connections: [pieces],
  heard,
});

// Numerical Recipes' generator: the same bytes in each run.
function scramble(bytes: number, seed: number): string {
  const words = new Uint32Array(bytes / 4);
  let word = seed;
  for (let i = 0; i < words.length; i += 1) {
    word = (Math.imul(word, 1_664_525) + 1_013_904_223) >>> 0;
    words[i] = word;
  }
  return Buffer.from(words.buffer).toString("base64");
}

const FIVE_MIB = 5_242_880;
const [LARGE_A, LARGE_B] = [scramble(FIVE_MIB, 1), scramble(FIVE_MIB, 2)];
const MANY = Array.from({ length: 100 }, (_, i) => `message ${i}`);
const BOM = "\uFEFF";

/** Each of so many bytes. */
function split(text: string, size: number): Uint8Array[] {
  const bytes = new TextEncoder().encode(text);
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
    bytes.subarray(i * size, (i + 1) * size),
  );
}

const PARSING: readonly ContractCase[] = [
  parse("one-line message in one chunk", ["data: Hello\n\n"], message("Hello")),
  parse(
    "two messages spanning 3 chunks with shared chunk",
    ["data: test", "test\n\ndata:", "test\n\n"],
    message("testtest"),
    message("test"),
  ),
  parse("large message in one chunk", [`data: ${LARGE_A}\n\n`], message(LARGE_A)),
  parse("large message in two chunks", [`data: ${LARGE_A}`, `${LARGE_B}\n\n`], message(LARGE_A + LARGE_B)),
  parse("one-line message in two chunks", ["data: Hel", "lo\n\n"], message("Hello")),
  parse(
    "two one-line messages in one chunk",
    ["data: Hello\n\ndata: World\n\n"],
    message("Hello"),
    message("World"),
  ),
  parse("one two-line message in one chunk", ["data: Hello\ndata:World\n\n"], message("Hello\nWorld")),
  parse("empty data", ["data:\n\n"], message("")),
  parse("event with specific type", ["event: greeting\ndata: Hello\n\n"], ["greeting", "Hello", ""]),
  parse("default event type", ["data: Hello\n\n"], message("Hello")),
  parse("event with ID", ["id: abc\ndata: Hello\n\n"], message("Hello", "abc")),
  parse(
    "event with type and ID",
    ["event: greeting\nid: abc\ndata: Hello\n\n"],
    ["greeting", "Hello", "abc"],
  ),
  parse("ID field is ignored if it contains a null", ["id: a\0bc\ndata: Hello\n\n"], message("Hello")),
  parse(
    "last ID persists if not overridden by later event",
    ["id: abc\ndata: first\n\n", "data: second\n\n"],
    message("first", "abc"),
    message("second", "abc"),
  ),
  parse(
    "last ID can be overridden by an empty value",
    ["id: abc\ndata: first\n\n", "id: \ndata: second\n\n"],
    message("first", "abc"),
    message("second"),
  ),
  parse(
    "fields in reverse order",
    ["data: Hello\nid: abc\nevent: greeting\n\n"],
    ["greeting", "Hello", "abc"],
  ),
  parse(
    "unknown field is ignored",
    ["event: greeting\ncolor: blue\ndata: Hello\n\n"],
    ["greeting", "Hello", ""],
  ),
  parse("fields without leading space", ["event:greeting\ndata:Hello\n\n"], ["greeting", "Hello", ""]),
  parse(
    "fields with extra leading space",
    ["event:  greeting\ndata:  Hello\n\n"],
    [" greeting", " Hello", ""],
  ),
  parse("field with no colon", ["data\n\ndata\ndata\n\n"], message(""), message("\n")),
  parse("multi-byte characters", ["data: €豆腐\n\n"], message("€豆腐")),
  parse(
    "many messages in rapid succession",
    [MANY.map((data) => `data: ${data}\n\n`).join("")],
    ...MANY.map((data) => message(data)),
  ),
  parse("multi-byte characters sent in single-byte pieces", split("data: €豆腐\n\n", 1), message("€豆腐")),
];

const BOMS: readonly ContractCase[] = [
  parse("BOM at start of stream is stripped", [`${BOM}data: Hello\n\n`], message("Hello")),
  parse(
    "BOM stripped before first event with type and ID",
    [`${BOM}event: greeting\nid: abc\ndata: Hello\n\n`],
    ["greeting", "Hello", "abc"],
  ),
  parse(
    "BOM stripped with multiple messages",
    [`${BOM}data: First\n\ndata: Second\n\n`],
    message("First"),
    message("Second"),
  ),
  parse(
    "BOM only stripped at stream start, not from later data",
    ["data: First\n\n", `data: ${BOM}Second\n\n`],
    message("First"),
    message(`${BOM}Second`),
  ),
  parse("BOM split across first two chunks", [...split(BOM, 2), "data: Hello\n\n"], message("Hello")),
  parse("BOM split byte by byte across chunks", [...split(BOM, 1), "data: Hello\n\n"], message("Hello")),
  parse("only first BOM at start is stripped", [`${BOM}data: ${BOM}Hello\n\n`], message(`${BOM}Hello`)),
  parse("no BOM - baseline test", ["data: Hello\n\n"], message("Hello")),
  parse("BOM with multi-line data", [`${BOM}data: Line1\ndata: Line2\n\n`], message("Line1\nLine2")),
  parse("BOM with comment at start", [`${BOM}:comment\ndata: Hello\n\n`], message("Hello")),
  parse("BOM does not affect empty data field", [`${BOM}data:\n\n`], message("")),
];

/** Theirs ask a client for the comments themselves, which no EventSource tells; here they must be passed over. */
const COMMENTS: readonly ContractCase[] = [
  parse("single comment", [":Hello\n", "data: after\n\n"], message("after")),
  parse("two comments in a row", [":Hello\n", ":World\n", "data: after\n\n"], message("after")),
  parse("comment before event", [":Hello\n", "data: Hello\n\n"], message("Hello")),
  parse(
    "comment after event",
    ["data: Hello\n\n", ":Hello\n", "data: after\n\n"],
    message("Hello"),
    message("after"),
  ),
];

/** `|` stands for the end of a line. */
const LINES: readonly (readonly [name: string, text: string, ...heard: readonly string[]])[] = [
  ["one-line event", "data: event 1||", "event 1"],
  [
    "one-line event + two-line event",
    "data: event 1||data: event 2 line 1|data: event 2 line 2||",
    "event 1",
    "event 2 line 1\nevent 2 line 2",
  ],
  ["3-line event with empty line at beginning", "data:|data: line2|data: line3||", "\nline2\nline3"],
  ["3-line event with empty line in middle", "data: line1|data:|data: line3||", "line1\n\nline3"],
  ["ignores 1 extra empty line", "data: event 1|||data: event 2||", "event 1", "event 2"],
  ["ignores 2 extra empty lines", "data: event 1||||data: event 2||", "event 1", "event 2"],
];

const LINEFEEDS: readonly ContractCase[] = [
  ...Object.entries({ LF: "\n", CRLF: "\r\n", CR: "\r" }).flatMap(([ending, characters]) =>
    LINES.flatMap(([name, lines, ...heard]) => {
      const text = lines.replaceAll("|", characters);
      const cuts = {
        "one chunk": [text],
        "1-character chunks": split(text, 1),
        "2-character chunks": split(text, 2),
      };
      return Object.entries(cuts).map(([cut, pieces]) =>
        parse(`${ending} separator, ${name}, ${cut}`, pieces, ...heard.map((data) => message(data))),
      );
    }),
  ),
  parse(
    "CRLF where CR is end of 1 chunk",
    ["data: Hello\r", "\ndata: World\r", "\n\r\ndata: OK\r", "\n", "\r", "\n"],
    message("Hello\nWorld"),
    message("OK"),
  ),
];

const SOON = "retry: 1\n\n";

const RECONNECTION: readonly ContractCase[] = [
  {
    name: "sends ID of last received event",
    connections: [[SOON, "id: abc\ndata: Hello\n\n"], ["data: again\n\n"]],
    heard: [message("Hello", "abc"), message("again", "abc")],
    ids: [undefined, "abc"],
  },
  {
    name: "sends ID of last received event that had an ID if later events did not",
    connections: [[SOON, "id: abc\ndata: Hello\n\n", "data: World\n\n"], ["data: again\n\n"]],
    heard: [message("Hello", "abc"), message("World", "abc"), message("again", "abc")],
    ids: [undefined, "abc"],
  },
  {
    name: "last event ID can be explicitly overridden with an empty value",
    connections: [[SOON, "id: abc\ndata: Hello\n\n", "id: \ndata: World\n\n"], ["data: again\n\n"]],
    heard: [message("Hello", "abc"), message("World"), message("again")],
    ids: [undefined, undefined],
  },
  {
    name: "discards partial messages on retry",
    connections: [[SOON, "id: abc\ndata: Hello\n\nid: def\ndata: Goodbye"], ["data: We meet again\n\n"]],
    heard: [message("Hello", "abc"), message("We meet again", "abc")],
    ids: [undefined, "abc"],
  },
  {
    name: "new connection established after breaking previous is functional",
    connections: [[SOON, "id: abc\ndata: Hello\n\n"], ["id: def\ndata: World\n\n"]],
    heard: [message("Hello", "abc"), message("World", "def")],
    ids: [undefined, "abc"],
  },
];

export const STREAM_CASES: readonly (readonly [group: string, cases: readonly ContractCase[]])[] = [
  ["basic parsing", PARSING],
  ["BOM handling", BOMS],
  ["comments", COMMENTS],
  ["linefeeds", LINEFEEDS],
  ["reconnection", RECONNECTION],
];

/** A client has to find out by itself that nothing comes any more. */
export const READ_TIMEOUT: ContractCase = {
  name: "can set read timeout",
  connections: [[SOON, "data: Hello\n\n"], ["data: again\n\n"]],
  heard: [message("Hello"), message("again")],
  silent: true,
};
