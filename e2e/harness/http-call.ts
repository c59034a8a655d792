/**
 * One HTTP request over a socket of its own, with a body that may be sent slowly. Bounded: silence rejects.
 *
 * node:http rather than fetch: Node 20's fetch never settles when the peer closes right after accepting.
 */
import { request as openRequest, type ClientRequest, type IncomingHttpHeaders } from "node:http";

export interface HttpCall {
  readonly method?: string;
  readonly headers?: { readonly [name: string]: string };
  /** A buffer is sent with its length; a function writes and returns, the request is ended after it. */
  readonly body?: Buffer | string | ((request: ClientRequest) => Promise<void>);
  /** Silence on the socket for so long rejects. */
  readonly silenceMs?: number;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export type JsonFields = { readonly [key: string]: unknown };

export async function callHttp(url: string, call: HttpCall = {}): Promise<HttpAnswer> {
  const { method = "GET", headers = {}, body, silenceMs = 15_000 } = call;
  return await new Promise((resolve, reject) => {
    const request = openRequest(url, { method, headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("aborted", () => reject(new Error(`${method} ${url}: the answer was cut`)));
      response.on("end", () => {
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) });
      });
    });
    request.on("error", reject);
    request.setTimeout(silenceMs, () =>
      request.destroy(new Error(`${method} ${url}: silent for ${silenceMs} ms`)),
    );
    if (typeof body === "function") {
      body(request).then(() => request.end(), reject);
    } else if (body === undefined) {
      request.end();
    } else {
      request.setHeader("Content-Length", Buffer.byteLength(body));
      request.end(body);
    }
  });
}

/** Sends and reads JSON. */
export async function callJson(
  url: string,
  call: { readonly method?: string; readonly headers?: HttpCall["headers"]; readonly json?: unknown } = {},
): Promise<{ readonly status: number; readonly headers: IncomingHttpHeaders; readonly json: JsonFields }> {
  const { method = call.json === undefined ? "GET" : "POST", headers = {}, json } = call;
  const answer = await callHttp(url, {
    method,
    headers: json === undefined ? headers : { "Content-Type": "application/json", ...headers },
    ...(json !== undefined && { body: JSON.stringify(json) }),
  });
  const text = answer.body.toString();
  return {
    status: answer.status,
    headers: answer.headers,
    json: text === "" ? {} : (JSON.parse(text) as JsonFields),
  };
}
