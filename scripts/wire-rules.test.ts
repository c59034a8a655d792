/**
 * A rule that the code cites as `[wire: slug]` is written in docs/wire.md as **[slug]**.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

const root = new URL("../", import.meta.url);

function cited(): Map<string, string[]> {
  const files = execFileSync(
    "git",
    ["ls-files", "--cached", "--others", "--exclude-standard", "packages", "web", "e2e"],
    {
      cwd: root,
      encoding: "utf8",
    },
  )
    .split("\n")
    .filter((path) => /\.(ts|tsx|mjs)$/.test(path));
  const found = new Map<string, string[]>();
  for (const path of files) {
    for (const [, slug = ""] of readFileSync(new URL(path, root), "utf8").matchAll(/\[wire: ([a-z-]+)\]/g)) {
      found.set(slug, [...(found.get(slug) ?? []), path]);
    }
  }
  return found;
}

test("every rule that the code cites stands in docs/wire.md", () => {
  const text = readFileSync(new URL("docs/wire.md", root), "utf8");
  const written = new Set([...text.matchAll(/\*\*\[([a-z-]+)\]\*\*/g)].map(([, slug]) => slug));
  const rules = cited();
  expect(rules.size).toBeGreaterThan(4);
  for (const [slug, files] of rules) expect(written, `cited in ${files.join(", ")}`).toContain(slug);
});
