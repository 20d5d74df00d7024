// Whether the import map of index.html names every package file that the page needs, and nothing else: follows the imports
// from app.js through node_modules. `node check.mjs` after each `npm install` of another version.
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";

const map = JSON.parse(readFileSync("index.html", "utf8").match(/<script type="importmap">([^<]*)</)[1]).imports;
const IMPORT = /(?:^|[\s;}])(?:import|export)\s*(?:[^'"();]*?from\s*)?["']([^"']+)["']/g;
const used = new Set();
const read = new Set();
const problems = [];

function follow(file) {
  if (read.has(file)) return;
  read.add(file);
  if (!existsSync(file)) return problems.push(`${file} is not there: npm ci`);
  for (const [, name] of readFileSync(file, "utf8").matchAll(IMPORT)) {
    if (name.startsWith(".")) {
      follow(normalize(join(dirname(file), name)));
    } else if (map[name]) {
      used.add(name);
      follow(normalize(map[name]));
    } else {
      problems.push(`${file} imports ${name}, which the import map does not have`);
    }
  }
}

follow("app.js");
for (const name of Object.keys(map)) if (!used.has(name)) problems.push(`the import map has ${name}, which nothing imports`);
console.log(problems.length ? problems.join("\n") : `${read.size} files, all of them found`);
process.exitCode = problems.length ? 1 : 0;
