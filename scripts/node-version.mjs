// Reads on any Node that knows modules, so that an old one gets a sentence instead of a syntax error.
const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);

/** Ends the process when this Node is older than package.json allows. */
export function requireNode() {
  if (major > 20 || (major === 20 && minor >= 19)) return;
  console.error(
    `holdfast needs Node 20.19 or newer: got ${process.version} (${process.execPath}); see https://nodejs.org/`,
  );
  process.exit(1);
}
