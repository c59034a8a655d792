/** A certificate for `localhost` and 127.0.0.1 that nobody trusts, made by openssl. */
import { join } from "node:path";
import { runCommand } from "./command-run.js";

export interface SelfSigned {
  /** `--tls-cert` and `--tls-key`. */
  readonly flags: readonly string[];
}

export async function makeSelfSigned(directory: string): Promise<SelfSigned> {
  const cert = join(directory, "cert.pem");
  const key = join(directory, "key.pem");
  const { code, stderr } = await runCommand("openssl", [
    ..."req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost".split(
      " ",
    ),
    ..."-addext subjectAltName=DNS:localhost,IP:127.0.0.1".split(" "),
    "-keyout",
    key,
    "-out",
    cert,
  ]);
  if (code !== 0) throw new Error(`openssl failed: ${stderr}`);
  return { flags: [`--tls-cert=${cert}`, `--tls-key=${key}`] };
}
