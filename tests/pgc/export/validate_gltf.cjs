// SPDX-License-Identifier: Apache-2.0
// Runs the Khronos glTF validator: node validate_gltf.cjs FILE.glb …
// Prints one JSON object a line: file, errors, warnings, infos, hints, messages. Exit code 1 where there is an error or
// a warning, 3 where the npm package gltf-validator is not found (npm install --prefix .venv gltf-validator).
const fs = require("fs");
const path = require("path");

function load() {
  const folders = [path.join(__dirname, "../../../.venv"), process.cwd(), __dirname];
  try {
    return require(require.resolve("gltf-validator", { paths: folders }));
  } catch (error) {
    console.error("gltf-validator is not installed; try: npm install --prefix .venv gltf-validator");
    process.exit(3);
  }
}

async function main(files) {
  const validator = load();
  let bad = false;
  for (const file of files) {
    const report = await validator.validateBytes(new Uint8Array(fs.readFileSync(file)), { maxIssues: 0 });
    const { numErrors, numWarnings, numInfos, numHints, messages } = report.issues;
    const found = { file, errors: numErrors, warnings: numWarnings, infos: numInfos, hints: numHints, messages };
    console.log(JSON.stringify(found));
    bad = bad || numErrors + numWarnings > 0;
  }
  process.exit(bad ? 1 : 0);
}

main(process.argv.slice(2));
