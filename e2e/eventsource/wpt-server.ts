/**
 * What the resources of web-platform-tests/eventsource answer, re-expressed: a path, a function. Where WPT keeps its state in a cookie,
 * this keeps it under the name that the case gives, since outside a browser there are no cookies.
 */
import { createServer, type IncomingMessage, type OutgoingHttpHeaders, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

interface Question {
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage["headers"];
  readonly method: string;
}

interface Answer {
  readonly status?: number;
  readonly headers?: OutgoingHttpHeaders;
  readonly body?: string;
  /** The response stays open behind the body. */
  readonly open?: true;
  /** Milliseconds before anything is answered. */
  readonly afterMs?: number;
}

type Resource = (question: Question) => Answer;

const LONG_ID = "a".repeat(255);
const FIXTURE_IDS: { readonly [fixture: string]: string } = {
  safe: "abc",
  long: LONG_ID,
  unsafe: "e5p3n<3k0k0s",
};

const LAST_EVENT_ID_2: readonly string[] = [
  "",
  "id: 1\ndata: 1\n\ndata:2\n\nid: 2\ndata:3\n\ndata:4\n\n",
  "id: 1\ndata: 1\n\nid:\ndata:2\n\ndata:3\n\n",
  "id: 1\ndata: 1\n\nid\ndata:2\n\ndata:3\n\n",
];

/** [html §9.2.3] the header's bytes are UTF-8; Node hands them out as Latin-1. */
const readLastEventId = (headers: IncomingMessage["headers"]): string =>
  Buffer.from(String(headers["last-event-id"] ?? ""), "latin1").toString("utf8");

/** What a browser asks beforehand for a script's Last-Event-ID; WPT answers it in fewer places, since its EventSource asks less. */
const allowAsked = (headers: IncomingMessage["headers"]): OutgoingHttpHeaders => ({
  "Access-Control-Allow-Origin": headers.origin ?? "*",
  "Access-Control-Allow-Credentials": "true",
  "Access-Control-Allow-Headers": headers["access-control-request-headers"] ?? "",
});

const message: Resource = ({ query }) => ({
  afterMs: Number(query.get("sleep") ?? 0),
  headers: { "Content-Type": query.get("mime") ?? "text/event-stream" },
  body: `${query.get("message") ?? "data: data"}${query.get("newline") === "none" ? "" : "\n\n"}\n`,
});
const cacheControl: Resource = ({ headers }) => ({ body: `data: ${headers["cache-control"] ?? ""}\n\n` });
const redirect: Resource = ({ query }) => ({
  status: Number(query.get("status") ?? 302),
  headers: { Location: query.get("location") ?? "" },
});

/** How often each name has asked. */
function counter(): (name: string) => number {
  const asked = new Map<string, number>();
  return (name) => {
    const times = (asked.get(name) ?? 0) + 1;
    asked.set(name, times);
    return times;
  };
}

function makeResources(): { readonly [path: string]: Resource } {
  const timesFailed = counter();
  const timesReconnected = counter();
  const preflights = new Map<string, string>();

  const statusReconnect: Resource = ({ query }) => {
    if (timesReconnected(query.get("id") ?? "") > 1) return { body: "data: data\n\n" };
    return { body: `retry: 2\n${query.has("ok_first") ? "data: ok\n\n" : ""}` };
  };

  const eventsource: { readonly [path: string]: Resource } = {
    "message.py": message,
    "message2.py": () => ({
      body: "data:msg\ndata:msg\n\n:\n\nfalsefield:msg\n\nfalsefield:msg\nData:data\n\ndata\n\ndata:end\n\n",
      open: true,
    }),
    "accept.event_stream": ({ headers }) => ({ body: `data: ${headers.accept ?? ""}\n\n` }),
    "cache-control.event_stream": cacheControl,
    "status-error.py": ({ query }) => ({
      status: Number(query.get("status")),
      headers: { "Content-Type": "text/event-stream" },
      body: ["204", "205"].includes(query.get("status") ?? "") ? "" : "data: data\n\n",
    }),
    "status-reconnect.py": statusReconnect,
    "reconnect-fail.py": ({ query }) => {
      const times = timesFailed(query.get("id") ?? "");
      if (times === 1) return { body: "retry: 2\ndata: opened\n\n" };
      return times === 2 ? { body: "data: reconnected\n\n" } : { status: 204 };
    },
    "last-event-id.py": ({ query, headers }) => {
      const id = readLastEventId(headers);
      if (id !== "") return { body: `retry: 200\ndata: ${id}\n\n` };
      return { body: `id: ${query.get("idvalue") ?? "…"}\nretry: 200\ndata: hello\n\n` };
    },
    "last-event-id2.py": ({ query }) => ({ body: LAST_EVENT_ID_2[Number(query.get("type"))] ?? "" }),
    "cors.py": (question) => {
      const { query, headers } = question;
      const run = { message, redirect, "status-reconnect": statusReconnect, "cache-control": cacheControl };
      const answer = (run[query.get("run") as keyof typeof run] ?? message)(question);
      const origin = query.get("origin") ?? headers.origin ?? "*";
      const cors = { "Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true" };
      return { ...answer, headers: { ...answer.headers, ...cors } };
    },
    "cors-cookie.py": ({ query, headers, method }) => {
      if (method === "OPTIONS") return { headers: allowAsked(headers) };
      const ident = query.get("ident") ?? "";
      const cookie = (headers.cookie ?? "").includes(`${ident}=COOKIE`) ? "COOKIE" : "NO_COOKIE";
      const first = headers["last-event-id"] === undefined;
      return {
        headers: {
          "Access-Control-Allow-Origin": headers.origin ?? "*",
          "Access-Control-Allow-Credentials": "true",
          ...(first ? { "Set-Cookie": `${ident}=COOKIE; Path=/` } : {}),
        },
        body: first ? `id:1\nretry:200\ndata: first ${cookie}\n\n` : `data: second ${cookie}\n\n`,
      };
    },
    "cors-unsafe-last-event-id.py": ({ query, headers, method }) => {
      const allow = { "Access-Control-Allow-Origin": headers.origin ?? "*", "Cache-Control": "no-store" };
      const [fixture, token] = [query.get("fixture") ?? "", query.get("token") ?? ""];
      const wanted = FIXTURE_IDS[fixture] ?? "";
      if (method === "OPTIONS") {
        preflights.set(token, (headers["access-control-request-headers"] ?? "").toLowerCase());
        return { headers: allowAsked(headers) };
      }
      const got = readLastEventId(headers);
      if (got === "") return { headers: allow, body: `id: ${wanted}\nretry: 200\ndata: ${fixture}\n\n` };
      const expected = fixture === "safe" ? undefined : "last-event-id";
      const right = got === wanted && preflights.get(token) === expected;
      return {
        headers: allow,
        body: `event: ${right ? "success" : "failure"}\ndata: ${got}, asked ${String(preflights.get(token))}\n\n`,
      };
    },
  };
  return {
    "/common/redirect.py": redirect,
    ...Object.fromEntries(
      Object.entries(eventsource).map(([path, resource]) => [`/eventsource/resources/${path}`, resource]),
    ),
  };
}

function send(response: ServerResponse, { status = 200, headers, body = "", open }: Answer): void {
  response.writeHead(status, { "Content-Type": "text/event-stream", ...headers });
  if (open) response.write(body);
  // With its length: the end of a chunked 205 would be read as the beginning of the next answer.
  else response.end(body);
}

export interface WptServer {
  /** Of the folder with the cases: `http://127.0.0.1:1234/eventsource/`. */
  readonly base: string;
  stop(): Promise<void>;
}

/** `files`: further documents by their path, as `[content type, body]`. */
export async function startWptServer(
  files: { readonly [path: string]: readonly [type: string, body: string] } = {},
): Promise<WptServer> {
  const resources = makeResources();
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? "/", "http://host");
    const file = files[url.pathname];
    const resource = resources[url.pathname];
    if (file !== undefined) response.writeHead(200, { "Content-Type": file[0] }).end(file[1]);
    else if (resource === undefined) response.writeHead(404).end();
    else {
      const { headers, method = "GET" } = request;
      const answer = resource({ query: url.searchParams, headers, method });
      if (answer.afterMs) setTimeout(() => send(response, answer), answer.afterMs);
      else send(response, answer);
    }
  });
  // A socket closed here just as a browser takes it up again would be a broken network to the case.
  server.keepAliveTimeout = 0;
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  return {
    base: `http://127.0.0.1:${(server.address() as AddressInfo).port}/eventsource/`,
    stop: async () => {
      const closed = new Promise((resolve) => {
        server.close(resolve);
      });
      server.closeAllConnections();
      await closed;
    },
  };
}
