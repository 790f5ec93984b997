/** Builds the dashboard's program into dist/dashboard, where `godwit dashboard` serves it from. */
import { defineConfig } from "vite";

export default defineConfig({
  root: "src/dashboard",
  // It may be served from a path of somebody's proxy.
  base: "./",
  logLevel: "warn",
  build: {
    outDir: "../../dist/dashboard",
    emptyOutDir: true,
    target: "es2023",
    // The content security policy forbids data: addresses and inline scripts.
    assetsInlineLimit: 0,
    modulePreload: false,
  },
});
