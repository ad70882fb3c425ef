// Bundles the page into the files that the Rust crate `lab` embeds. The same sources and the same
// lock file give the same bytes; `varangian/tests/bundle.rs` holds them to that.
import { build } from "esbuild";
import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const out = process.argv[2] ?? join(here, "../lab/src/page");
mkdirSync(out, { recursive: true });
const common = { bundle: true, minify: true, charset: "utf8", legalComments: "none", absWorkingDir: here,
  logLevel: "warning" };
await build({ ...common, entryPoints: ["src/main.ts"], format: "iife", target: "es2022",
  outfile: join(out, "page.js") });
await build({ ...common, entryPoints: ["src/page.css"], outfile: join(out, "page.css") });
