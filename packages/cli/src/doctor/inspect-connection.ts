/**
 * The way to the server below HTTP: names, a TCP connection, TLS and what it agreed on. Settles within its bound, with the step
 * that failed. Called by: survey.ts.
 */
import { lookup } from "node:dns/promises";
import { connect as tcpConnect, isIP } from "node:net";
import { connect as tlsConnect, type TLSSocket } from "node:tls";
import type { ConnectionFacts, TlsFacts } from "./observation.js";

const STEP_MS = 10_000;
const DAY_MS = 86_400_000;

export async function inspectConnection(url: URL): Promise<ConnectionFacts> {
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const secure = url.protocol === "https:";
  const port = Number(url.port === "" ? (secure ? 443 : 80) : url.port);
  const startMs = performance.now();
  const facts = {
    host,
    port,
    addresses: [],
    lookupMs: 0,
    connectMs: undefined,
    tls: undefined,
    error: undefined,
  };
  let addresses: readonly string[] = [host];
  try {
    if (isIP(host) === 0) addresses = (await lookup(host, { all: true })).map(({ address }) => address);
  } catch (error) {
    return { ...facts, lookupMs: performance.now() - startMs, error: { step: "dns", ...toWords(error) } };
  }
  const lookupMs = performance.now() - startMs;
  const connectStartMs = performance.now();
  try {
    await connectTcp(host, port);
  } catch (error) {
    return { ...facts, addresses, lookupMs, error: { step: "tcp", ...toWords(error) } };
  }
  const connectMs = performance.now() - connectStartMs;
  if (!secure) return { ...facts, addresses, lookupMs, connectMs };
  try {
    return { ...facts, addresses, lookupMs, connectMs, tls: await inspectTls(host, port) };
  } catch (error) {
    return { ...facts, addresses, lookupMs, connectMs, error: { step: "tls", ...toWords(error) } };
  }
}

async function connectTcp(host: string, port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const socket = tcpConnect({ host, port, timeout: STEP_MS });
    socket.once("connect", () => {
      socket.destroy();
      resolve();
    });
    socket.once("timeout", () => socket.destroy(timedOut()));
    socket.once("error", reject);
  });
}

async function inspectTls(host: string, port: number): Promise<TlsFacts> {
  return await new Promise((resolve, reject) => {
    const socket: TLSSocket = tlsConnect({
      host,
      port,
      ...(isIP(host) === 0 && { servername: host }),
      ALPNProtocols: ["h2", "http/1.1"],
      rejectUnauthorized: false,
      timeout: STEP_MS,
    });
    socket.once("secureConnect", () => {
      const { valid_to: until } = socket.getPeerCertificate();
      resolve({
        version: socket.getProtocol() ?? "unknown",
        alpn: typeof socket.alpnProtocol === "string" ? socket.alpnProtocol : undefined,
        untrusted: socket.authorized ? undefined : String(socket.authorizationError),
        validDays: Math.floor((Date.parse(until) - Date.now()) / DAY_MS),
      });
      socket.destroy();
    });
    socket.once("timeout", () => socket.destroy(timedOut()));
    socket.once("error", reject);
  });
}

function timedOut(): NodeJS.ErrnoException {
  return Object.assign(new Error(`no answer within ${STEP_MS / 1_000} s`), { code: "ETIMEDOUT" });
}

function toWords(error: unknown): { readonly code: string; readonly message: string } {
  const message = error instanceof Error ? error.message : String(error);
  const code = error instanceof Error && "code" in error ? String(error.code) : "ERROR";
  return { code, message };
}
