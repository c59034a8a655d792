import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { main } from "./main.js";

const deploy = fileURLToPath(new URL("../../../deploy/", import.meta.url));
const products = JSON.parse(readFileSync(`${deploy}products.json`, "utf8")) as {
  readonly [name: string]: { readonly file: string };
};

async function run(...args: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  let [out, err] = ["", ""];
  const code = await main(["proxy", ...args], {
    env: {},
    stdout: { write: (written) => (out += written) },
    stderr: { write: (written) => (err += written) },
    signals: process,
    exit: () => undefined,
  });
  return { code, out, err };
}

test.each(Object.keys(products))("%s is printed with every blank filled in", async (name) => {
  const { code, out, err } = await run(name, "--domain", "live.example.org", "--upstream", "10.0.0.7:9000");
  expect({ code, err }).toEqual({ code: 0, err: "" });
  expect(out).not.toMatch(/\{\{|\}\}/);
  expect(out).toMatch(/10\.0\.0\.7|live\.example\.org|compression|retry/);
});

test("every file of deploy/proxies belongs to a product", () => {
  const listed = Object.values(products).map(({ file }) => file);
  expect(readdirSync(`${deploy}proxies`).toSorted()).toEqual(listed.toSorted());
});

test("every text is in the package that is published", () => {
  const manifest = JSON.parse(readFileSync(`${deploy}package.json`, "utf8")) as {
    readonly files: readonly string[];
  };
  expect(manifest.files.toSorted()).toEqual(["products.json", "proxies"]);
});

test("--list names each product once, and says which ones nobody ran", async () => {
  const { code, out } = await run("--list");
  expect(code).toBe(0);
  expect(
    out
      .trimEnd()
      .split("\n")
      .map((line) => line.split(" ")[0]),
  ).toEqual(Object.keys(products));
});

test.each([
  [["ngnix"], "unknown product ngnix: did you mean nginx?"],
  [[], "proxy takes one product: got none"],
  [["nginx", "caddy"], "proxy takes one product: got nginx caddy"],
  [["nginx", "--domain", "https://x.example"], "--domain must be a host name"],
  [["nginx", "--domain", "x; return 200"], "--domain must be a host name"],
  [["nginx", "--upstream", "http://127.0.0.1:8080"], "--upstream must be a host and a port"],
  [["nginx", "--key", "/a b"], "--key must be an absolute path"],
  [["nginx", "--port", "0"], "--port must be an integer from 1 to 65535"],
])("%j is refused with what to do", async (args, message) => {
  const { code, out, err } = await run(...args);
  expect({ code, out }).toEqual({ code: 2, out: "" });
  expect(err).toContain(message);
});
