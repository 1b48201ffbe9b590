/**
 * `deno task ok`: everything that can be checked without running the program.
 *
 * Format, lint and types of the TypeScript; layers and purity (`check_layers.ts`); that generated code
 * is what its generator writes; format and clippy of the Rust shim. One line per check, the output of
 * those that fail, exit code 1 if any did.
 *
 * @module
 */

import { repositoryFiles } from "./check_layers.ts";
import { exists, ROOT, run } from "./run.ts";

interface Check {
  readonly name: string;
  readonly command: readonly string[];
  /** Checked only when this path exists. */
  readonly needs?: string;
}

const deno = Deno.execPath();

const CHECKS: readonly Check[] = [
  { name: "format", command: [deno, "fmt", "--check"] },
  { name: "lint", command: [deno, "lint"] },
  { name: "types", command: [deno, "check", ...typescriptFiles()] },
  { name: "layers", command: [deno, "run", "-A", "scripts/check_layers.ts"] },
  {
    name: "generated code",
    command: [deno, "run", "-A", "scripts/generate_wire.ts", "--check"],
    needs: "scripts/generate_wire.ts",
  },
  {
    name: "generated pages",
    command: [deno, "run", "-A", "scripts/generate_docs.ts", "--check"],
    needs: "scripts/generate_docs.ts",
  },
  {
    name: "shim format",
    command: ["cargo", "fmt", "--manifest-path", "ffi/Cargo.toml", "--check"],
    needs: "ffi/Cargo.toml",
  },
  {
    name: "shim lint",
    command: [
      "cargo",
      "clippy",
      "--quiet",
      "--locked",
      "--manifest-path",
      "ffi/Cargo.toml",
      "--all-targets",
      "--",
      "--deny",
      "warnings",
    ],
    needs: "ffi/Cargo.toml",
  },
  {
    name: "launcher format",
    command: ["cargo", "fmt", "--manifest-path", "ffi/launcher/Cargo.toml", "--check"],
    needs: "ffi/launcher/Cargo.toml",
  },
  {
    name: "launcher lint",
    command: [
      "cargo",
      "clippy",
      "--quiet",
      "--locked",
      "--manifest-path",
      "ffi/launcher/Cargo.toml",
      "--all-targets",
      "--",
      "--deny",
      "warnings",
    ],
    needs: "ffi/launcher/Cargo.toml",
  },
];

/** Not the programs of client tests in JavaScript: their packages are not this project's. */
function typescriptFiles(): string[] {
  return repositoryFiles(ROOT).filter((file) => file.endsWith(".ts") && exists(ROOT + file));
}

let failed = 0;
for (const { name, command, needs } of CHECKS) {
  if (needs !== undefined && !exists(ROOT + needs)) {
    console.log(`skip  ${name}: no ${needs}`);
    continue;
  }
  const { code, output, seconds } = await run(command);
  console.log(`${code === 0 ? "ok   " : "FAIL "} ${name} (${seconds.toFixed(1)} s)`);
  if (code !== 0) {
    failed++;
    console.log(output.trimEnd());
  }
}
Deno.exitCode = failed === 0 ? 0 : 1;
