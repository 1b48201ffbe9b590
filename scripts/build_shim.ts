/**
 * Builds the shim (`ffi/`) when its sources have changed since the last build.
 *
 * The sources' hash is kept in a stamp beside the library; equal hashes end the script at once. Two
 * runs at the same time are safe: the second waits for the first and then finds nothing to do.
 * Progress goes to stderr, for stdout belongs to the command that runs next.
 *
 * @module
 */

import { createHash } from "node:crypto";

const FFI = decodeURIComponent(new URL("../ffi/", import.meta.url).pathname);
const TARGET = `${FFI}target`;
const LIBRARY = `${TARGET}/release/libgregor.so`;
const STAMP = `${TARGET}/release/libgregor.stamp`;
/** As `gregor` itself exits when the host lacks something. */
const EXIT_HOST_CANNOT = 71;

/** Hash over names and contents of everything that the build reads. */
function sourcesHash(): string {
  const hash = createHash("sha256");
  const sources = [...Deno.readDirSync(`${FFI}src`)].map((entry) => `src/${entry.name}`);
  sources.push("Cargo.toml", "Cargo.lock");
  for (const name of sources.sort()) {
    const bytes = Deno.readFileSync(FFI + name);
    hash.update(`${name}\0${bytes.length}\0`).update(bytes);
  }
  return hash.digest("hex");
}

function isFresh(hash: string): boolean {
  try {
    return Deno.readTextFileSync(STAMP) === hash && Deno.statSync(LIBRARY).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Says what is missing and what to do about it, then ends the process. */
function giveUp(message: string): never {
  console.error(`Cannot build the shim: ${message}`);
  Deno.exit(EXIT_HOST_CANNOT);
}

function has(program: string): boolean {
  try {
    return new Deno.Command(program, { args: ["--version"], stdout: "null", stderr: "null" })
      .outputSync().success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Finds cargo on the path, or where rustup puts it. */
function findCargo(): string {
  if (has("cargo")) return "cargo";
  const home = `${Deno.env.get("CARGO_HOME") ?? `${Deno.env.get("HOME")}/.cargo`}/bin/cargo`;
  if (has(home)) return home;
  giveUp("cargo is not installed. Install Rust 1.89 or newer, for example from https://rustup.rs.");
}

function build(): void {
  if (Deno.build.os !== "linux") giveUp("io_uring exists on Linux alone.");
  const cargo = findCargo();
  if (!has("cc")) {
    giveUp("there is no C linker (cc). Install one: apt install gcc, or dnf install gcc.");
  }
  console.error("Building the shim (ffi/) with cargo; the first time takes a minute ...");
  const output = new Deno.Command(cargo, {
    args: ["build", "--release", "--locked", "--quiet", "--target-dir", TARGET],
    cwd: FFI,
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).outputSync();
  if (!output.success) giveUp(`cargo failed:\n${new TextDecoder().decode(output.stderr)}`);
}

const wanted = sourcesHash();
if (!isFresh(wanted)) {
  Deno.mkdirSync(`${TARGET}/release`, { recursive: true });
  using lock = Deno.openSync(`${TARGET}/build_shim.lock`, { create: true, write: true });
  lock.lockSync(true);
  if (!isFresh(wanted)) {
    build();
    // A rename is atomic: nobody sees half a stamp.
    Deno.writeTextFileSync(`${STAMP}.new`, wanted);
    Deno.renameSync(`${STAMP}.new`, STAMP);
  }
}
