import { createGzip, constants } from "node:zlib";
import { afterAll, describe, expect, test } from "vitest";
import { closeOrigins, openOrigin, openSecureOrigin, sendEvents, STREAM } from "./broken-origin.test.kit.js";
import { diagnose } from "./diagnose.js";
import { takeSurvey } from "./survey.js";

afterAll(closeOrigins);

// Made for these tests alone: CN=localhost, valid for a hundred years.
const TLS = {
  key: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgfbxHB7jPBrNkLf4u
dsNjpxVljYeZeB/CmItifOeC3JChRANCAARZEElCsZU+TDuTk+rHEQIcoPO6slKB
PzWAW4/2wBpm+QLAa+Nrwh7xjyKeOUn5Uy1LmxEO/7bP76Nzb0KroSd4
-----END PRIVATE KEY-----
`,
  cert: `-----BEGIN CERTIFICATE-----
MIIBmzCCAUGgAwIBAgIUP68Nh5nre+/VE6FKZBUPHq5ZDQ0wCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyNDA5MjM1OVoYDzIxMjYxMDMx
MDkyMzU5WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAARZEElCsZU+TDuTk+rHEQIcoPO6slKBPzWAW4/2wBpm+QLAa+Nrwh7x
jyKeOUn5Uy1LmxEO/7bP76Nzb0KroSd4o28wbTAdBgNVHQ4EFgQUtW+S46LXa0Vm
odjmkLYutEoffMwwHwYDVR0jBBgwFoAUtW+S46LXa0VmodjmkLYutEoffMwwDwYD
VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI
zj0EAwIDSAAwRQIgX1buLK3rk9aLT8wQWqqvwqonLsLl7lgPNILHvdAnr9ACIQDy
WoyrMtwM6RiHKE0w1OCL0iwKUb/0/fbo1w7JAexP7Q==
-----END CERTIFICATE-----
`,
};

/** Every origin here is without TLS, which is what one note is about. */
const PLAIN_NOTE = "six-connections";

async function findIn(
  url: URL,
  { watchMs = 2_000, origin }: { readonly watchMs?: number; readonly origin?: string } = {},
): Promise<readonly string[]> {
  const survey = await takeSurvey({ url, headers: {}, watchMs, origin, tell: () => undefined });
  return diagnose(survey)
    .map(({ id }) => id)
    .filter((id) => id !== PLAIN_NOTE);
}

describe.concurrent("an origin that is wrong in one way is found wrong in just that way", () => {
  test("a healthy stream has no finding, also when it ends cleanly", async () => {
    const url = await openOrigin((request, response) => {
      response.writeHead(200, STREAM);
      sendEvents(response);
      if (request.headers["accept-encoding"] === "identity") setTimeout(() => response.end(), 1_500);
    });
    expect(await findIn(url)).toEqual([]);
  });

  test("a stream that was refused, and one that is over", async () => {
    const statuses = [401, 503, 404, 302, 204];
    const found = await Promise.all(
      statuses.map(
        async (status) => await findIn(await openOrigin((_, response) => response.writeHead(status).end())),
      ),
    );
    expect(found).toEqual([["refused"], ["refused"], ["refused"], ["refused"], ["already-over"]]);
  });

  test("a page in the place of a stream", async () => {
    const url = await openOrigin((_, response) =>
      response.writeHead(200, { "Content-Type": "text/html" }).end("<html>"),
    );
    expect(await findIn(url)).toEqual(["not-a-stream"]);
  });

  test("headers, and then nothing", async () => {
    const url = await openOrigin((_, response) => {
      response.writeHead(200, STREAM).flushHeaders();
    });
    expect(await findIn(url)).toEqual(["mute"]);
  });

  test("no answer at all", async () => {
    expect(await findIn(await openOrigin(() => undefined))).toEqual(["no-response"]);
  });

  test("a stream that is cut in its midst", async () => {
    const url = await openOrigin((_, response) => {
      response.writeHead(200, STREAM);
      sendEvents(response);
      setTimeout(() => response.destroy(), 900);
    });
    expect(await findIn(url)).toEqual(["unclean-end"]);
  });

  test("two that are cut at one age, although bytes flow", async () => {
    const url = await openOrigin((_, response) => {
      response.writeHead(200, STREAM);
      sendEvents(response);
      setTimeout(() => response.end(), 4_200);
    });
    expect(await findIn(url, { watchMs: 5_000 })).toEqual(["age-limit"]);
  });

  test("a task that ends while it is watched is no limit of age", async () => {
    const overAtMs = performance.now() + 4_500;
    const url = await openOrigin((_, response) => {
      response.writeHead(200, STREAM);
      sendEvents(response);
      setTimeout(() => response.end(), overAtMs - performance.now());
    });
    expect(await findIn(url, { watchMs: 5_000 })).toEqual([]);
  });

  test("events that come in lumps", async () => {
    const url = await openOrigin((_, response) => {
      response.writeHead(200, STREAM).write(": here\n\n");
      let lump = 0;
      const timer = setInterval(() => {
        lump += 1;
        response.write(Array.from({ length: 8 }, (__, at) => `id: ${lump}${at}\ndata: x\n\n`).join(""));
      }, 1_300);
      response.once("close", () => clearInterval(timer));
    });
    expect(await findIn(url, { watchMs: 4_500 })).toEqual(["buffered"]);
  });

  test("a compressor that waits, and one that is flushed", async () => {
    const compressing = (flush: boolean) =>
      openOrigin((request, response) => {
        if (!/gzip/.test(request.headers["accept-encoding"] ?? "")) {
          response.writeHead(200, STREAM);
          sendEvents(response);
          return;
        }
        response.writeHead(200, { ...STREAM, "Content-Encoding": "gzip" }).flushHeaders();
        const gzip = createGzip(flush ? { flush: constants.Z_SYNC_FLUSH } : {});
        gzip.pipe(response);
        sendEvents(gzip);
        response.once("close", () => gzip.destroy());
      });
    expect(await findIn(await compressing(false))).toEqual(["compression-holds-back"]);
    expect(await findIn(await compressing(true))).toEqual(["compressed"]);
  });

  test("what a cache may keep, and what came out of one", async () => {
    const serving = (headers: { readonly [name: string]: string }) =>
      openOrigin((_, response) => {
        response.writeHead(200, { "Content-Type": "text/event-stream", ...headers });
        sendEvents(response);
      });
    expect(await findIn(await serving({}))).toEqual(["cacheable"]);
    expect(await findIn(await serving({ "Cache-Control": "no-cache", Age: "7" }))).toEqual(["cacheable"]);
  });

  test("headers that come late", async () => {
    const url = await openOrigin((_, response) => {
      setTimeout(() => {
        response.writeHead(200, STREAM);
        sendEvents(response);
      }, 1_200);
    });
    expect(await findIn(url, { watchMs: 2_500 })).toEqual(["headers-late"]);
  });

  test("events without ids, and an origin that refuses those it gave", async () => {
    const without = await openOrigin((_, response) => {
      response.writeHead(200, STREAM);
      sendEvents(response, { ids: false });
    });
    expect(await findIn(without)).toEqual(["no-ids"]);
    const refusing = await openOrigin((request, response) => {
      if (request.headers["last-event-id"] !== undefined) return void response.writeHead(400).end();
      response.writeHead(200, STREAM);
      sendEvents(response);
    });
    expect(await findIn(refusing)).toEqual(["resume-fails"]);
  });

  test("cookies, a clock that is wrong, a site that may not read", async () => {
    const url = await openOrigin((_, response) => {
      response.writeHead(200, {
        ...STREAM,
        "Set-Cookie": "AWSALB=a",
        Date: new Date(Date.now() - 60_000).toUTCString(),
      });
      sendEvents(response);
    });
    expect(await findIn(url, { origin: "https://elsewhere.example" })).toEqual([
      "clock-skew",
      "cors",
      "cookies",
    ]);
  });

  test("a name that does not exist, a port where nobody listens, a port without TLS", async () => {
    const { port } = await openOrigin(() => undefined);
    expect(await findIn(new URL("http://nobody.invalid/events"))).toEqual(["unreachable"]);
    expect(await findIn(new URL("http://127.0.0.1:1/events"))).toEqual(["unreachable"]);
    expect(await findIn(new URL(`https://127.0.0.1:${port}/events`))).toEqual(["unreachable"]);
  });

  test("over HTTP/2 a healthy stream has no finding beyond the certificate of these tests", async () => {
    const url = await openSecureOrigin(TLS, (_, response) => {
      response.writeHead(200, STREAM);
      sendEvents(response);
    });
    expect(await findIn(url)).toEqual(["certificate-untrusted"]);
  });

  test("a stream that works over HTTP/1.1 and is reset over HTTP/2", async () => {
    const atOnce = await openSecureOrigin(TLS, (_, response) => {
      if ("stream" in response) return response.stream.close(1);
      response.writeHead(200, STREAM);
      sendEvents(response);
    });
    expect(await findIn(atOnce)).toEqual(["certificate-untrusted", "http2-fails"]);
    const later = await openSecureOrigin(TLS, (_, response) => {
      response.writeHead(200, STREAM);
      sendEvents(response);
      if ("stream" in response) setTimeout(() => response.stream.close(2), 700);
    });
    expect(await findIn(later)).toEqual(["certificate-untrusted", "http2-reset"]);
  });
});
