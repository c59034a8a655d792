import { execFileSync } from "node:child_process";
import { join } from "node:path";

export interface Certificate {
  readonly certificate: string;
  readonly key: string;
}

/** For localhost, self-signed, made with openssl; the key stands where HAProxy looks for it. */
export function makeCertificate(directory: string): Certificate {
  const certificate = join(directory, "site.pem");
  const key = `${certificate}.key`;
  const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
  const ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];
  execFileSync(
    "openssl",
    ["req", "-x509", ...ec, "-nodes", "-days", "2", ...subject, "-keyout", key, "-out", certificate],
    {
      stdio: "ignore",
    },
  );
  return { certificate, key };
}
