/** Rules about the way below and around the stream: names, TLS, HTTP versions, who may read. Each: survey → finding or nothing. */
import { showMs, withEvidence, type Finding, type Rule } from "./finding.js";
import { answered, type Survey } from "./observation.js";

const SOON_DAYS = 14;
const SKEW_MS = 5_000;

const unreachable: Rule = ({ connection: { error, host, port } }) => {
  if (error === undefined) return undefined;
  const fixes = {
    dns: `the name ${host}: check its spelling, its A and AAAA records, and the resolver of this machine`,
    tcp: `port ${port} of ${host}: check that the server listens there, and the firewalls between`,
    tls: `TLS on port ${port} of ${host}: check that this port speaks TLS and that versions and ciphers overlap`,
  };
  return {
    id: "unreachable",
    severity: "fault",
    seen: `${{ dns: "DNS", tcp: "the TCP connection", tls: "TLS" }[error.step]} failed: ${error.code}, ${error.message}`,
    effect: "Nobody gets so far as HTTP.",
    fix: [fixes[error.step]],
  };
};

const certificate: Rule = ({ connection: { tls, host } }) => {
  if (tls === undefined || (tls.untrusted === undefined && tls.validDays >= SOON_DAYS)) return undefined;
  const expiring = tls.untrusted === undefined;
  return {
    id: expiring ? "certificate-expires" : "certificate-untrusted",
    severity: expiring ? "risk" : "fault",
    seen: expiring
      ? `the certificate is valid for ${tls.validDays} more days`
      : `the certificate is not trusted: ${tls.untrusted ?? ""}`,
    effect: expiring
      ? "When it expires every EventSource fails, and scripts can't tell why."
      : "Browsers refuse the connection; an EventSource only sees error events, without a reason.",
    fix: [
      `a certificate for ${host} from an authority that browsers know, with its whole chain, renewed by itself`,
    ],
  };
};

const noResponse: Rule = ({ connection, plain }) =>
  connection.error !== undefined || plain === undefined || "status" in plain || plain.code === "STOPPED"
    ? undefined
    : {
        id: "no-response",
        severity: "fault",
        seen: `no response within ${showMs(plain.atMs)}: ${plain.code}, ${plain.error}`,
        effect: "The browser waits, and shows nothing.",
        fix: [
          "the origin: send status and headers at once, then a first event or comment",
          "nginx: proxy_buffering off; proxy_http_version 1.1; or the header X-Accel-Buffering: no from the origin",
          "lighttpd: server.stream-response-body = 2",
        ],
      };

const http2Fails: Rule = ({ plain, http2 }) => {
  const bad = toHttp2Failure(http2);
  if (bad === undefined || answered(plain)?.status !== 200) return undefined;
  return {
    id: "http2-fails",
    severity: "fault",
    seen: `over HTTP/1.1 the stream is answered, over HTTP/2 ${bad}`,
    fits: "a header that HTTP/2 forbids (Connection, Transfer-Encoding, Upgrade, upper case), passed on by a proxy",
    effect: "Chrome shows ERR_HTTP2_PROTOCOL_ERROR and reconnects for ever.",
    fix: [
      "the origin: don't set Connection, Keep-Alive, Transfer-Encoding or Upgrade on responses",
      "nginx: proxy_hide_header Upgrade; proxy_hide_header Proxy-Connection;",
    ],
  };
};

function toHttp2Failure(http2: Survey["http2"]): string | undefined {
  if (http2 === undefined) return undefined;
  if (!("status" in http2)) return `it fails: ${http2.code}, ${http2.error}`;
  return http2.status === 200 || http2.end.kind !== "reset" ? undefined : `it is reset: ${http2.end.code}`;
}

const sixConnections: Rule = ({ url, connection: { tls }, plain }) => {
  if (answered(plain)?.status !== 200 || tls?.alpn === "h2") return undefined;
  return {
    id: "six-connections",
    severity: "note",
    seen: url.startsWith("https:")
      ? "the server offers HTTP/1.1 only"
      : "without TLS browsers speak HTTP/1.1 only",
    effect:
      "A browser opens six connections to a host over all of its tabs: with six streams open the seventh tab does not load.",
    fix: [
      "the page: one stream for many tasks (/batches/{id}/stream, /stream?task=…), one connection for all tabs",
      "the proxy: TLS with HTTP/2 to the browser, e.g. nginx: listen 443 ssl http2;",
    ],
  };
};

const clockSkew: Rule = ({ clockSkewMs }) =>
  clockSkewMs === undefined || Math.abs(clockSkewMs) < SKEW_MS
    ? undefined
    : {
        id: "clock-skew",
        severity: "note",
        seen: `the server's clock is ${showMs(Math.abs(clockSkewMs))} ${clockSkewMs > 0 ? "ahead of" : "behind"} this machine's`,
        effect: "Times in events look wrong by as much, and tokens expire early or late.",
        fix: ["both machines: run a time service (chrony, systemd-timesyncd)"],
      };

const crossOrigin: Rule = ({ crossOrigin: seen, plain, origin }) => {
  const response = answered(seen);
  if (response === undefined || origin === undefined || answered(plain)?.status !== 200) return undefined;
  const allowed = response.headers["access-control-allow-origin"];
  if (response.status === 200 && (allowed === "*" || allowed === origin)) return undefined;
  return {
    id: "cors",
    severity: "note",
    seen: `asked from ${origin}: status ${response.status}, Access-Control-Allow-Origin ${allowed ?? "absent"}`,
    effect: "Pages of another origin can't read the stream; pages of the same origin can.",
    fix: [
      `the origin, if such pages are to read it: Access-Control-Allow-Origin: ${origin}; holdfast serve --cors-origin ${origin}`,
    ],
  };
};

const cookies: Rule = ({ plain }) => {
  const response = answered(plain);
  const set = response?.headers["set-cookie"];
  if (set === undefined) return undefined;
  const sticky = /awsalb|gclb|arraffinity|srv_id|route|lb/i.test(set);
  const finding: Finding = {
    id: "cookies",
    severity: "note",
    seen: `the stream sets a cookie (${set.split("=")[0] ?? ""})`,
    ...(sticky && { fits: "a load balancer that keeps a client on one node" }),
    effect: "An EventSource without withCredentials does not send it back from another origin.",
    fix: [
      "if the cookie chooses the node: new EventSource(url, { withCredentials: true }), or nodes that share their store",
    ],
  };
  return { ...finding, ...withEvidence(response?.headers) };
};

export const CONNECTION_RULES: readonly Rule[] = [
  unreachable,
  certificate,
  noResponse,
  http2Fails,
  clockSkew,
  crossOrigin,
  cookies,
  sixConnections,
];
