/** Each example of the packages' README files is checked by TypeScript as a reader would paste it: a module of its own, against the sources. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));
const READMES = ["packages/client/README.md"];
/** What an example takes from its surroundings. */
const SURROUNDINGS = "declare function token(): Promise<string>;\n";

function examplesOf(readme: string): { readonly language: string; readonly code: string }[] {
  const text = readFileSync(join(root, readme), "utf8");
  return [...text.matchAll(/^```(js|tsx?)\n([\s\S]*?)^```$/gm)].map(([, language = "", code = ""]) => ({
    language,
    code,
  }));
}

test.each(READMES)("every example of %s is sound", (readme) => {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-examples-"));
  try {
    const examples = examplesOf(readme);
    expect(examples.length).toBeGreaterThan(0);
    for (const [index, { language, code }] of examples.entries()) {
      writeFileSync(join(directory, `example-${index + 1}.${language}`), code);
    }
    writeFileSync(join(directory, "surroundings.d.ts"), SURROUNDINGS);
    symlinkSync(join(root, "node_modules"), join(directory, "node_modules"));
    const paths = Object.fromEntries(
      readdirSync(join(root, "packages")).flatMap((name) => [
        [`@holdfast/${name}`, [join(root, "packages", name, "src/index.ts")]],
        [`@holdfast/${name}/*`, [join(root, "packages", name, "src/*.ts")]],
      ]),
    );
    const compilerOptions = {
      target: "ES2022",
      module: "NodeNext",
      lib: ["ES2023", "DOM", "DOM.Iterable"],
      types: ["node"],
      strict: true,
      jsx: "react-jsx",
      allowJs: true,
      checkJs: true,
      noEmit: true,
      skipLibCheck: true,
      paths,
    };
    writeFileSync(join(directory, "package.json"), `{ "type": "module" }`);
    writeFileSync(join(directory, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["*"] }));
    const tsc = join(root, "node_modules/typescript/bin/tsc");
    execFileSync(process.execPath, [tsc, "-p", directory], { encoding: "utf8", stdio: "pipe" });
  } catch (error) {
    const told = error instanceof Error && "stdout" in error ? String(error.stdout) : String(error);
    expect.fail(told);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
