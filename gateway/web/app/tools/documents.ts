import { join } from "node:path";
import { type Plugin, runnerImport } from "vite";

const ROOT = '<div id="app"></div>';
const SHEET = /\s*<link rel="stylesheet"[^>]*href="\/([^"]+)"[^>]*>/;

/**
 * Write the two documents: the plain one, for whoever has to sign in, and the one with the frame in it. The style sheet
 * is inside both, so that the frame is seen as soon as they are there.
 */
export function documents(): Plugin {
  return {
    name: "documents",
    apply: "build",
    enforce: "post",
    async generateBundle(_, bundle) {
      const page = bundle["index.html"];
      if (page?.type !== "asset") throw new Error("there is no index.html");
      const html = String(page.source);
      const [link, name = ""] = SHEET.exec(html) ?? [];
      const sheet = bundle[name];
      if (!link || sheet?.type !== "asset") throw new Error("index.html has no style sheet");
      delete bundle[name];
      const plain = html.replace(link, () => `\n    <style>${String(sheet.source).trim()}</style>`);
      if (!plain.includes(ROOT)) throw new Error(`index.html has no ${ROOT}`);
      page.source = plain;
      const { module } = await runnerImport<{ FRAME: string }>(join(import.meta.dirname, "../src/document.tsx"), {
        configFile: false,
        logLevel: "error",
        oxc: { jsx: { importSource: "preact" } },
      });
      const framed = plain.replace(ROOT, () => ROOT.replace("><", () => `>${module.FRAME}<`));
      this.emitFile({ type: "asset", fileName: "framed.html", source: framed });
    },
  };
}
