#!/usr/bin/env node
// Here before the build, so that npm links it as an executable when it installs.
await import("../dist/bin.js");
