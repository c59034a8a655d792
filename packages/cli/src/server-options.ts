import { readFileSync } from "node:fs";
import type { HoldfastOptions } from "@holdfast/server";
import type { Settings } from "./settings.js";
import { UsageError } from "./usage-error.js";

/** What the embedded server calls the same settings; the TLS files are read here. Throws UsageError. */
export function toServerOptions(
  settings: Settings,
  rest: Pick<HoldfastOptions, "logger" | "pageDir">,
): HoldfastOptions {
  const { "tls-cert": cert, "tls-key": key } = settings;
  return {
    port: settings.port,
    host: settings.host,
    basePath: settings["base-path"],
    dataDir: settings["data-dir"],
    heartbeatMs: settings.heartbeat,
    progressIntervalMs: settings["progress-interval"],
    maxUploadBytes: settings["max-upload-size"],
    minFreeDiskBytes: settings["min-free-disk"],
    uploadExpiryMs: settings["upload-expiry"],
    processingTimeoutMs: settings["processing-timeout"],
    retentionMs: settings.retention,
    historyMs: settings.history,
    historyPerTask: settings["history-per-task"],
    maxStreamAgeMs: settings["max-stream-age"],
    drainWindowMs: settings["drain-window"],
    headerTimeoutMs: settings["header-timeout"],
    readTimeoutMs: settings["read-timeout"],
    writeTimeoutMs: settings["write-timeout"],
    idleTimeoutMs: settings["idle-timeout"],
    http: settings.http,
    sseHttp1: settings["sse-http1"],
    tls:
      cert === null || key === null
        ? null
        : { cert: readPem(cert, "tls-cert", "CERTIFICATE"), key: readPem(key, "tls-key", "PRIVATE KEY") },
    corsOrigins: settings["cors-origin"],
    authSecret: settings["auth-secret"],
    insecure: settings.insecure,
    probe: settings.probe,
    ...rest,
  };
}

function readPem(path: string, name: string, label: string): string {
  let pem: string;
  try {
    pem = readFileSync(path, "utf8");
  } catch (error) {
    throw new UsageError(`${name} can't be read: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
  // Other blocks may stand before it, and its label may say more: `EC PARAMETERS`, `EC PRIVATE KEY`.
  const labels = [...pem.matchAll(/-----BEGIN ([A-Z0-9 ]+)-----/g)].map((match) => match[1] ?? "");
  if (labels.some((one) => one.endsWith(label))) return pem;
  throw new UsageError(
    `${name} must hold a PEM block of a ${label.toLowerCase()}: got ${path}, which has none`,
  );
}
