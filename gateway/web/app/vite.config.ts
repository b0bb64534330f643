import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { constants, gzipSync } from "node:zlib";
import { defineConfig, type Plugin } from "vite";
import { documents } from "./tools/documents.ts";

const GATEWAY = "http://127.0.0.1:8080";
// A test builds elsewhere and compares.
const STATIC = resolve(process.env.WATCHLLM_STATIC ?? resolve(import.meta.dirname, "../static"));
const WORTH_BYTES = 512;
/** What several pages and the first of them are made of: one file, as a browser has six connections to a host. */
const PARTS =
  /src\/(core\/(format|period)|ui\/(card|figures|meter|range|scroll|segmented)|pages\/(budgets\/shared|projects\/(choice|shared)))\.tsx?$/;

/** Write each file's gzip form beside it, so that the gateway compresses nothing while it runs. */
function zipped(): Plugin {
  return {
    name: "zipped",
    apply: "build",
    closeBundle() {
      for (const name of readdirSync(STATIC, { recursive: true, encoding: "utf8" })) {
        if (!/\.(js|css|html)$/.test(name)) continue;
        const body = readFileSync(join(STATIC, name));
        if (body.length < WORTH_BYTES) continue;
        writeFileSync(join(STATIC, `${name}.gz`), gzipSync(body, { level: constants.Z_BEST_COMPRESSION }));
      }
    },
  };
}

/** The page that is seen first, and what it needs, is fetched beside the script and not after it. */
function besides(module: string): Plugin {
  return {
    name: "besides",
    apply: "build",
    transformIndexHtml: {
      order: "post",
      handler: (html, { bundle }) => {
        const chunks = Object.values(bundle ?? {}).filter((each) => each.type === "chunk");
        const page = chunks.find((chunk) => chunk.facadeModuleId?.endsWith(module));
        if (!page) throw new Error(`${module} has no file of its own`);
        // The largest first: a browser has six connections.
        return chunks
          .filter(({ fileName }) => fileName === page.fileName || page.imports.includes(fileName))
          .sort((one, other) => other.code.length - one.code.length)
          .map(({ fileName }) => fileName)
          .filter((name) => !html.includes(name))
          .map((name) => ({
            tag: "link",
            attrs: { rel: "modulepreload", crossorigin: true, href: `/${name}` },
            injectTo: "head" as const,
          }));
      },
    },
  };
}

export default defineConfig({
  plugins: [besides("pages/overview/overview.tsx"), documents(), zipped()],
  build: {
    outDir: STATIC,
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rolldownOptions: {
      output: {
        codeSplitting: {
          includeDependenciesRecursively: false,
          groups: [{ name: "parts", test: PARTS }],
        },
      },
    },
  },
  server: {
    // The gateway takes a write by cookie from its own pages alone.
    proxy: Object.fromEntries(
      ["/api", "/v1", "/health", "/schema", "/docs"].map((path) => [
        path,
        { target: GATEWAY, changeOrigin: true, headers: { origin: GATEWAY } },
      ]),
    ),
  },
});
