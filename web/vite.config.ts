import { defineConfig } from "vite";

export default defineConfig({
  // Relative, so that the same build serves at any base path.
  base: "./",
  build: {
    // What has light-dark() and :has(): every engine since May 2024.
    target: ["chrome123", "firefox121", "safari17.5"],
    // An inlined asset is a data: URI, which a strict policy refuses for anything but images.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
});
