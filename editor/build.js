// Builds the script of the page, with the licences of what is in it in front.
import { build } from "esbuild";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const OUT = "../gnet_inspect/serving/page/editor.js";

const result = await build({
  entryPoints: ["src/main.js"],
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2022",
  write: false,
  metafile: true,
  outfile: OUT,
  logLevel: "warning",
});

// A package's folder is what stands behind the last node_modules of the paths of its files.
const packages = new Set(
  Object.keys(result.metafile.inputs)
    .map((path) => path.match(/^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//)?.[1])
    .filter(Boolean),
);
const licences = [...packages].sort().map((folder) => {
  const about = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const file = ["LICENSE", "LICENSE.md", "LICENCE"].map((name) => join(folder, name)).find(existsSync);
  if (!file) throw new Error(`${about.name} has no file of its licence`);
  return `${about.name} ${about.version}\n\n${readFileSync(file, "utf8").trim()}`;
});
const banner = `/*\nThis file holds these packages, each under its licence:\n\n${licences.join("\n\n---\n\n")}\n*/\n`;
if (banner.indexOf("*/") !== banner.length - 3) throw new Error("a licence ends the comment that it stands in");

// Whole or not at all.
writeFileSync(`${OUT}.part`, banner + result.outputFiles[0].text);
renameSync(`${OUT}.part`, OUT);
