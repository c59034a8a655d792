/** What is asked, what an answer does, and how a source lives and ends: the `eventsource-*` and `request-*` files. */
import type { Trial } from "./trial.js";
import type { WptCase } from "./wpt-case.js";

let tokens = 0;
/** The server keeps what WPT keeps in cookies, under a name that no two cases share. */
const token = (): string => `${Date.now()}-${Math.random().toString(36).slice(2)}-${(tokens += 1)}`;

async function assertSimpleOpen(trial: Trial, url: unknown): Promise<void> {
  const source = trial.source(url);
  const open = await trial.next(source, "open");
  trial.equal(source.readyState, 1, "readyState");
  trial.equal(["data" in open, open.bubbles, open.cancelable], [false, false, false], "a simple event");
}

async function assertFails(trial: Trial, url: string): Promise<void> {
  const source = trial.source(url);
  trial.never(source, "message", "open");
  const error = await trial.next(source, "error");
  trial.equal(source.readyState, 2, "readyState");
  trial.equal("data" in error, false, "it has data");
}

async function assertData(trial: Trial, url: string, data: string, init?: EventSourceInit): Promise<string> {
  const message = await trial.next(trial.source(url, init), "message");
  trial.equal(message.data, data, "data");
  return message.origin;
}

const CORS_REFUSED = "a script can't tell an answer that CORS withholds from a broken network";

/** Where CORS refuses, the script sees a broken network: an error, no opening, another try. */
async function assertRetriesRefused(trial: Trial, url: string): Promise<void> {
  const source = trial.source(url);
  trial.never(source, "message", "open");
  await trial.next(source, "error");
  trial.equal(source.readyState, 0, "readyState");
}

async function assertCookies(trial: Trial, init: EventSourceInit, second: string): Promise<void> {
  const source = trial.source(`${trial.elsewhere}resources/cors-cookie.py?ident=${token()}`, init);
  const heard = await trial.messages(source, 2);
  trial.equal(
    heard.map(([, data]) => data),
    ["first NO_COOKIE", second],
    "cookies",
  );
}

/** The server says `success` when a browser has asked beforehand exactly where EventSource must. */
async function assertPreflight(trial: Trial, fixture: string, ending: string): Promise<void> {
  const query = `fixture=${fixture}&token=${token()}`;
  const source = trial.source(`${trial.elsewhere}resources/cors-unsafe-last-event-id.py?${query}`);
  const heard = await trial.messages(source, 2, ["message", "success", "failure"]);
  const what = `events ${JSON.stringify(heard)}`;
  trial.equal(
    heard.map(([type]) => type),
    ["message", ending],
    what,
  );
}

const request = (file: string, subtest: string, run: WptCase["run"]): WptCase => ({ file, subtest, run });

export const REQUEST_CASES: readonly WptCase[] = [
  request("eventsource-close.window.js", "close()", async (trial) => {
    const source = trial.source("resources/message.py");
    trial.equal(source.readyState, source.CONNECTING, "readyState at first");
    await trial.next(source, "open");
    trial.equal(source.readyState, source.OPEN, "readyState when open");
    source.close();
    trial.equal(source.readyState, source.CLOSED, "readyState when closed");
  }),
  request("eventsource-close.window.js", "close(), test events", async (trial) => {
    const source = trial.source(`resources/reconnect-fail.py?id=${token()}`);
    const seen: string[] = [];
    source.addEventListener("message", ({ data }: MessageEvent<string>) => seen.push(data));
    const over = new Promise<void>((resolve) => {
      source.addEventListener("error", () => {
        if (seen.push(`error ${source.readyState}`) === 5) resolve();
      });
    });
    await over;
    await trial.pause(100);
    trial.equal(seen, ["opened", "error 0", "reconnected", "error 0", "error 2"], "what was seen");
  }),
  request("eventsource-constructor-empty-url.any.js", "", (trial) => {
    trial.equal(trial.source("").url, globalThis.location.toString(), "url");
  }),
  ...["ftp://example.not/", "about:blank", "mailto:whatwg@awesome.example", "javascript:alert('FAIL')"].map(
    (url) =>
      request(
        "eventsource-constructor-non-same-origin.window.js",
        url,
        async (trial) => await assertFails(trial, url),
      ),
  ),
  request("eventsource-constructor-stringify.window.js", "object", async (trial) => {
    await assertSimpleOpen(trial, { toString: () => "resources/message.py" });
  }),
  ...[1, null, undefined].map((url) =>
    request("eventsource-constructor-stringify.window.js", String(url), (trial) => {
      trial.equal(trial.source(url).url.endsWith(`/${String(url)}`), true, "the url ends with it");
    }),
  ),
  request("eventsource-constructor-url-bogus.any.js", "", (trial) => {
    // Chromium's own URL takes the first for one, with the spaces escaped.
    const bogus = ["http://this is invalid/", "http://[invalid/"].find((url) => !URL.canParse(url));
    try {
      trial.source(bogus);
    } catch (error) {
      trial.equal(
        [error instanceof DOMException, (error as Error).name],
        [true, "SyntaxError"],
        "what is thrown",
      );
      return;
    }
    throw new Error("it did not throw");
  }),
  request("dedicated-worker/eventsource-constructor-no-new.any.js", "", (trial) => {
    try {
      Reflect.apply(trial.EventSource, undefined, [""]);
    } catch (error) {
      trial.equal(error instanceof TypeError, true, "what is thrown is a TypeError");
      return;
    }
    throw new Error("it did not throw");
  }),
  ...[
    ["basic use", "cors.py?run=message"],
    ["redirect use", "cors.py?run=redirect&location=/eventsource/resources/cors.py?run=message"],
    ["redirect use recon", `cors.py?run=status-reconnect&status=200&id=`],
  ].map(([subtest = "", path = ""]) =>
    request("eventsource-cross-origin.window.js", subtest, async (trial) => {
      const url = `${trial.elsewhere}resources/${path}${path.endsWith("id=") ? token() : ""}`;
      const origin = await assertData(trial, url, "data", { withCredentials: true });
      trial.equal(origin, new URL(trial.elsewhere).origin, "origin");
    }),
  ),
  ...[
    ["allow-origin: http://example.org should fail", "cors.py?run=message&origin=http://example.org"],
    ["allow-origin:'' should fail", "cors.py?run=message&origin="],
    ["No allow-origin should fail", "message.py"],
  ].map(([subtest = "", path = ""]): WptCase => ({
    file: "eventsource-cross-origin.window.js",
    subtest,
    browserOnly: true,
    beyond: CORS_REFUSED,
    run: async (trial) => await assertRetriesRefused(trial, `${trial.elsewhere}resources/${path}`),
  })),
  ...["long", "unsafe"].map((fixture): WptCase => ({
    file: "eventsource-cross-origin-preflight.window.js",
    subtest: `${fixture} last-event-id`,
    browserOnly: true,
    run: async (trial) => await assertPreflight(trial, fixture, "success"),
  })),
  {
    file: "eventsource-cross-origin-preflight.window.js",
    subtest: "safe last-event-id",
    browserOnly: true,
    beyond: "a browser asks beforehand for any Last-Event-ID that a script sends",
    run: async (trial) => await assertPreflight(trial, "safe", "failure"),
  },
  request("eventsource-eventtarget.any.js", "", async (trial) => {
    await assertData(trial, "resources/message.py", "data");
  }),
  request("eventsource-onmessage.any.js", "", async (trial) => {
    const source = trial.source("resources/message.py");
    const message = await new Promise<MessageEvent<string>>((resolve) => {
      Reflect.set(source, "onmessage", resolve);
    });
    trial.equal(message.data, "data", "data");
  }),
  {
    file: "eventsource-onmessage-trusted.any.js",
    subtest: "",
    beyond: "only the browser itself makes trusted events",
    async run(trial) {
      const message = await trial.next(trial.source("resources/message.py"), "message");
      trial.equal(message.isTrusted, false, "isTrusted");
    },
  },
  request(
    "eventsource-onopen.any.js",
    "",
    async (trial) => await assertSimpleOpen(trial, "resources/message.py"),
  ),
  request("eventsource-prototype.any.js", "", (trial) => {
    Object.defineProperty(trial.EventSource.prototype, "returnTrue", {
      value: () => true,
      configurable: true,
    });
    const source = trial.source("resources/message.py");
    const { returnTrue } = source as unknown as { returnTrue: () => boolean };
    trial.equal(
      [returnTrue(), Object.hasOwn(globalThis, "EventSource")],
      [true, true],
      "what the prototype gives",
    );
  }),
  request("eventsource-reconnect.window.js", "200", async (trial) => {
    await assertData(trial, `resources/status-reconnect.py?status=200&id=${token()}`, "data");
  }),
  request("eventsource-reconnect.window.js", "test reconnection events", async (trial) => {
    const source = trial.source(`resources/status-reconnect.py?status=200&ok_first&id=${token()}`);
    const seen: string[] = [];
    source.addEventListener("error", () => seen.push(`error ${source.readyState}`));
    source.addEventListener("message", ({ data }: MessageEvent<string>) => seen.push(data));
    await trial.messages(source, 2);
    trial.equal(seen, ["ok", "error 0", "data"], "what was seen");
  }),
  request("eventsource-url.any.js", "", (trial) => {
    const url = "resources/message.py";
    trial.equal(trial.source(url).url.slice(-url.length), url, "url");
  }),
  request("request-accept.any.js", "", async (trial) => {
    await assertData(trial, "resources/accept.event_stream", "text/event-stream");
  }),
  ...["resources/cache-control.event_stream", "cors.py?run=cache-control"].flatMap((path) =>
    [1, 2].map((time) =>
      request("request-cache-control.any.js", `${path} ${time}`, async (trial) => {
        const url = path.startsWith("cors") ? `${trial.elsewhere}resources/${path}` : path;
        for (let i = 0; i < time; i += 1) await assertData(trial, url, "no-cache");
      }),
    ),
  ),
  ...(
    [
      ["enabled", { withCredentials: true }, "second COOKIE"],
      ["disabled", { withCredentials: false }, "second NO_COOKIE"],
      ["default", {}, "second NO_COOKIE"],
    ] as const
  ).map(([subtest, init, second]): WptCase => ({
    file: "request-credentials.any.window.js",
    subtest,
    browserOnly: true,
    run: async (trial) => await assertCookies(trial, init, second),
  })),
  ...[301, 302, 303, 307].map((status) =>
    request("request-redirect.any.window.js", String(status), async (trial) => {
      const source = trial.source(
        `/common/redirect.py?location=/eventsource/resources/message.py&status=${status}`,
      );
      trial.never(source, "error");
      await trial.next(source, "open");
      trial.equal(source.readyState, 1, "readyState");
    }),
  ),
  ...[204, 205, 210, 299, 404, 410, 503].map((status) =>
    request("request-status-error.window.js", String(status), async (trial) => {
      await assertFails(trial, `resources/status-error.py?status=${status}`);
    }),
  ),
];
