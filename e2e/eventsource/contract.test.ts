/**
 * The contract tests of LaunchDarkly's clients, re-expressed, against both classes: one set of cases, and what either must have asked.
 */
import { StableEventSource } from "@holdfast/client";
import { EventSource } from "@holdfast/client/eventsource";
import { afterAll, describe, expect, test } from "vitest";
import { READ_TIMEOUT, STREAM_CASES, type ContractCase, type Heard } from "./contract-cases.js";
import { playCase } from "./contract-play.js";
import { startScriptedServer, type Asked, type ScriptedServer } from "../harness/scripted-server.js";

interface Request {
  readonly method?: string;
  readonly headers?: { readonly [name: string]: string };
  readonly body?: string;
  readonly lastEventId?: string;
  readonly heartbeatTimeout?: number;
}

type Source = EventSource | StableEventSource;

/** The strict class has one option beyond the standard, and it is enough for all but a deadline. */
function openStrict(url: string, { lastEventId, headers, ...request }: Request): Source {
  return new EventSource(url, {
    fetch: async (input, init) => {
      const merged = new Headers({
        ...headers,
        ...(lastEventId === undefined ? {} : { "Last-Event-ID": lastEventId }),
      });
      for (const [name, value] of new Headers(init?.headers)) merged.set(name, value);
      return await fetch(input, { ...init, ...request, headers: merged });
    },
  });
}

const CLIENTS: readonly (readonly [name: string, open: (url: string, request: Request) => Source])[] = [
  ["EventSource", openStrict],
  ["StableEventSource", (url, request) => new StableEventSource(url, { retryDelay: 1, ...request })],
];

const tally = new Map<string, number>();
const applying = new Map<string, number>();
afterAll(() => {
  for (const [name, passed] of tally) {
    console.log(
      `sse-contract-tests, ${name}: ${passed} pass of the ${applying.get(name)} that apply, of 113`,
    );
  }
});

/** Opens, hears, closes; what was asked is the answer. */
async function meet(
  server: ScriptedServer,
  source: Source,
  expected: readonly Heard[],
): Promise<readonly Asked[]> {
  const heard: Heard[] = [];
  try {
    await new Promise<void>((resolve) => {
      for (const type of new Set(expected.map(([name]) => name))) {
        source.addEventListener(type, (event: Event) => {
          const { data, lastEventId } = event as MessageEvent<string>;
          if (heard.push([event.type, data, lastEventId]) === expected.length) resolve();
        });
      }
    });
    // Not toEqual: a difference in ten million characters would be printed.
    expect(
      JSON.stringify(heard) === JSON.stringify(expected),
      `heard ${JSON.stringify(heard).slice(0, 300)}`,
    ).toBe(true);
    return server.asked;
  } finally {
    source.close();
    await server.stop();
  }
}

const EVENT = {
  name: "",
  connections: [["id: 1\ndata: hello\n\n"]],
  heard: [["message", "hello", "1"]],
} as const satisfies ContractCase;
const JSON_BODY = '{"hello": "world"}';
const JSON_HEADERS = { "content-type": "application/json; charset=utf-8" };

type Titled = readonly [title: string, run: () => Promise<void>];

function toTests(name: string, open: (url: string, request: Request) => Source): Titled[] {
  const tests: Titled[] = [];
  const passes = (title: string, run: () => Promise<void>): void => void tests.push([title, run]);

  /** What is asked with these options, of a server that sends one event. */
  async function ask(request: Request): Promise<Asked | undefined> {
    const server = await startScriptedServer(playCase(EVENT));
    const [asked] = await meet(server, open(server.url, request), EVENT.heard);
    return asked;
  }

  for (const [group, cases] of STREAM_CASES) {
    for (const contract of cases) {
      passes(`${group}: ${contract.name}`, async () => {
        const server = await startScriptedServer(playCase(contract));
        const asked = await meet(server, open(server.url, {}), contract.heard);
        const ids = contract.ids ?? [undefined];
        expect(asked.map(({ headers }) => headers["last-event-id"])).toEqual(ids);
      });
    }
  }

  passes("HTTP behavior: default method and headers", async () => {
    const asked = await ask({});
    expect(asked?.method).toBe("GET");
    expect(asked?.headers).toMatchObject({ accept: "text/event-stream", "cache-control": "no-cache" });
    expect(asked?.headers).not.toHaveProperty("last-event-id");
  });

  passes("HTTP behavior: 204 halts re-connection attempts", async () => {
    const server = await startScriptedServer((_request, response) => void response.writeHead(204).end());
    const source = open(server.url, {});
    await expect.poll(() => source.readyState).toBe(2);
    await new Promise((resolve) => {
      setTimeout(resolve, 100);
    });
    expect(server.asked).toHaveLength(1);
    await server.stop();
  });

  for (const status of [301, 307]) {
    passes(`HTTP behavior: client follows ${status} redirect`, async () => {
      const target = await startScriptedServer(playCase(EVENT));
      const server = await startScriptedServer(
        (_request, response) => void response.writeHead(status, { Location: target.url }).end(),
      );
      await meet(target, open(server.url, {}), EVENT.heard);
      await server.stop();
    });

    for (const [what, headers] of [
      ["empty", { Location: "" }],
      ["missing", {}],
    ] as const) {
      passes(`HTTP behavior: client handles ${what} Location header with ${status} status`, async () => {
        const server = await startScriptedServer(
          (_request, response) => void response.writeHead(status, headers).end(),
        );
        const source = open(server.url, {});
        await new Promise((resolve) => {
          source.addEventListener("error", resolve, { once: true });
        });
        source.close();
        await server.stop();
        // Twenty redirects is where fetch stops.
        expect(server.asked.length).toBeLessThan(30);
      });
    }
  }

  passes("HTTP behavior: custom headers", async () => {
    const headers = { "header-name-1": "value-1", "header-name-2": "value-2" };
    expect((await ask({ headers }))?.headers).toMatchObject(headers);
  });

  for (const method of ["POST", "REPORT"]) {
    passes(`HTTP behavior: ${method} request`, async () => {
      const asked = await ask({ method, headers: JSON_HEADERS, body: JSON_BODY });
      expect(asked).toMatchObject({ method, headers: JSON_HEADERS, body: JSON_BODY });
    });
  }

  passes("HTTP behavior: sends Last-Event-Id in initial request if set", async () => {
    expect((await ask({ lastEventId: "abc" }))?.headers["last-event-id"]).toBe("abc");
  });

  passes("reconnection: resends request body if any when reconnecting", async () => {
    const twice = { ...EVENT, connections: [["retry: 1\n\n"], ...EVENT.connections] };
    const server = await startScriptedServer(playCase(twice));
    const request = { method: "POST", headers: JSON_HEADERS, body: JSON_BODY };
    const asked = await meet(server, open(server.url, request), EVENT.heard);
    expect(asked.map(({ method, body }) => [method, body])).toEqual([
      ["POST", JSON_BODY],
      ["POST", JSON_BODY],
    ]);
  });

  // The standard knows no deadline: for the strict class there is nothing to ask.
  if (name === "StableEventSource") {
    passes(`reconnection: ${READ_TIMEOUT.name}`, async () => {
      const server = await startScriptedServer(playCase(READ_TIMEOUT));
      const asked = await meet(server, open(server.url, { heartbeatTimeout: 500 }), READ_TIMEOUT.heard);
      expect(asked.length).toBeGreaterThanOrEqual(2);
    });
  }
  return tests;
}

describe.each(CLIENTS)("%s", (name, open) => {
  const tests = toTests(name, open);
  applying.set(name, tests.length);
  test.concurrent.each(tests)("%s", async (_title, run) => {
    await expect(run()).resolves.toBeUndefined();
    tally.set(name, (tally.get(name) ?? 0) + 1);
  });
});
