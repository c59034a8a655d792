/**
 * `holdfast proxy nginx --domain … --upstream …`: the configuration of a proxy on stdout, with the caller's names in it.
 *
 * Promises: what is printed is what the conformance suite starts the real proxy with; no placeholder is left. Refuses: names that could
 * mean something else inside of a configuration (blanks, quotes, braces, semicolons). Called by: main.ts.
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { CommandIo } from "./command-io.js";
import { parseFlags } from "./flags.js";
import { renderEntry } from "./help.js";
import { suggestName } from "./nearest-name.js";
import { boolean, integer, text, type SettingKind } from "./setting-kind.js";
import { UsageError } from "./usage-error.js";

/** A row of deploy/products.json. */
interface Product {
  /** Below deploy/proxies. */
  readonly file: string;
  readonly about: string;
  /** Run through the conformance suite, or written from the product's documentation. */
  readonly proof: "conformance" | "documentation";
}

interface Blank {
  readonly kind: SettingKind<string> | SettingKind<number>;
  readonly help: string;
  readonly standard: (domain: string) => string;
}

const domain = text(
  "<host>",
  /^[A-Za-z0-9*]([A-Za-z0-9.-]*[A-Za-z0-9])?$/,
  "a host name without scheme, port and path",
);
const path = text("<path>", /^\/[A-Za-z0-9_./@+-]+$/, "an absolute path of A-Z a-z 0-9 _ . / @ + -");

/** What stands in braces in deploy/proxies, in the order of --help. */
const BLANKS: { readonly [name: string]: Blank } = {
  domain: { kind: domain, help: "The name that browsers use.", standard: () => "app.example.com" },
  upstream: {
    kind: text(
      "<host:port>",
      /^([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\]):\d{1,5}$/,
      "a host and a port like 127.0.0.1:8080",
    ),
    help: "Where Holdfast listens.",
    standard: () => "127.0.0.1:8080",
  },
  port: { kind: integer(1, 65_535), help: "Where the proxy listens.", standard: () => "443" },
  certificate: {
    kind: path,
    help: "The certificate with its chain, PEM.",
    standard: (name) => `/etc/ssl/private/${name}.pem`,
  },
  key: {
    kind: path,
    help: "Its key, PEM. HAProxy looks for it beside the certificate, under this name with .key behind.",
    standard: (name) => `/etc/ssl/private/${name}.pem.key`,
  },
  files: {
    kind: path,
    help: "Directory of the further files that a configuration names.",
    standard: () => "/etc/holdfast",
  },
};

/** Throws UsageError. */
export async function proxy(args: readonly string[], { stdout }: CommandIo): Promise<number> {
  const { values, positionals } = parseFlags(args, {
    list: boolean(),
    ...Object.fromEntries(Object.entries(BLANKS).map(([name, { kind }]) => [name, kind])),
  });
  const products = readProducts();
  if (values.has("list")) {
    for (const [name, { about, proof }] of Object.entries(products))
      stdout.write(
        `${name.padEnd(20)} ${about}${proof === "documentation" ? " (by its documentation, not run)" : ""}\n`,
      );
    return 0;
  }
  const [name, ...rest] = positionals;
  const names = Object.keys(products);
  if (name === undefined || rest.length > 0)
    throw new UsageError(
      `proxy takes one product: got ${positionals.join(" ") || "none"}; known are ${names.join(", ")}`,
    );
  const product = Object.hasOwn(products, name) ? products[name] : undefined;
  if (product === undefined) throw new UsageError(`unknown product ${name}: ${suggestName(name, names)}`);
  stdout.write(fillIn(readFileSync(join(deployDir(), "proxies", product.file), "utf8"), values));
  return 0;
}

export function proxyHelp(): string {
  const entries = Object.entries(BLANKS).map(([name, { kind, help, standard }]) => ({
    name,
    placeholder: kind.placeholder,
    help,
    standard: standard("DOMAIN"),
  }));
  return `Usage: holdfast proxy nginx --domain app.example.com --upstream 127.0.0.1:8080

Prints the configuration of a proxy that passes streams and uploads on as they come. docs/proxies.md says why each line is there.

Products: ${Object.keys(readProducts()).join(", ")}

${entries.map(renderEntry).join("\n")}
${renderEntry({ name: "list", placeholder: "", help: "The products, one a line." })}`;
}

function fillIn(template: string, given: ReadonlyMap<string, string>): string {
  const host = given.get("domain") ?? "app.example.com";
  const filled = Object.fromEntries(
    Object.entries(BLANKS).map(([name, { kind, standard }]) => [
      name,
      String(kind.parse(given.get(name) ?? standard(host), `--${name}`)),
    ]),
  );
  // The parts of an upstream, for products that want them apart.
  const colon = filled["upstream"]?.lastIndexOf(":") ?? -1;
  filled["upstream-host"] = filled["upstream"]?.slice(0, colon) ?? "";
  filled["upstream-port"] = filled["upstream"]?.slice(colon + 1) ?? "";
  return template.replaceAll(/\{\{([a-z-]+)\}\}/g, (blank, name: string) => {
    const value = filled[name];
    if (value === undefined) throw new Error(`nothing fills in ${blank}`);
    return value;
  });
}

function readProducts(): { readonly [name: string]: Product } {
  return JSON.parse(readFileSync(join(deployDir(), "products.json"), "utf8")) as { [name: string]: Product };
}

function deployDir(): string {
  return dirname(createRequire(import.meta.url).resolve("@holdfast/deploy/package.json"));
}
