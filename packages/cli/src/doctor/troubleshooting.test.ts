import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";

const here = new URL("./", import.meta.url);

/** Every id that a rule gives. */
function idsInRules(): ReadonlySet<string> {
  const source = readdirSync(here)
    .filter((name) => name.endsWith("-rules.ts"))
    .map((name) => readFileSync(new URL(name, here), "utf8"))
    .join("\n");
  const written = Array.from(source.matchAll(/\bid: ([^,\n]+),/g), ([, value = ""]) => value).join(" ");
  return new Set(Array.from(written.matchAll(/"([a-z0-9-]+)"/g), ([, id = ""]) => id));
}

/** What stands in code type in the last column of the page's table. */
function idsNamed(page: string): readonly string[] {
  const text = readFileSync(new URL(`../../../../docs/${page}`, import.meta.url), "utf8");
  const cells = text.split("\n").map((line) => (line.startsWith("|") ? (line.split("|").at(-2) ?? "") : ""));
  return Array.from(cells.join(" ").matchAll(/`([^`]+)`/g), ([, id = ""]) => id);
}

test.each(["troubleshooting.md", "troubleshooting.zh.md"])(
  "%s names every finding, and none that does not exist",
  (page) => {
    const ids = idsInRules();
    expect(ids.size).toBeGreaterThan(25);
    const named = idsNamed(page);
    expect(named.filter((id) => !ids.has(id))).toEqual([]);
    // What needs no remedy is said in words alone.
    expect([...ids].filter((id) => !named.includes(id))).toEqual([
      "certificate-expires",
      "already-over",
      "compressed",
    ]);
  },
);
