/**
 * The shim library, loaded: the functions of `ffi/src/lib.rs` with their types.
 *
 * Each thread (main and Workers) loads it for itself; the library's state is one for the process.
 * Functions return a negative errno on failure unless documented otherwise; what each may fail with is
 * written in the crate. Hot calls take only 32-bit integers and doubles.
 *
 * @module
 */

import { packed } from "./packed.ts";

const SYMBOLS = {
  gregor_region_map: { parameters: ["f64", "u32"], result: "i32" },
  gregor_region_pointer: { parameters: [], result: "pointer" },
  gregor_region_size: { parameters: [], result: "f64" },
  gregor_crc32c: { parameters: ["u32", "f64", "u32"], result: "u32" },
  gregor_walker_open: { parameters: ["f64"], result: "i32" },
  gregor_walker_close: { parameters: ["u32"], result: "i32" },
  gregor_walker_verdict: { parameters: ["u32"], result: "pointer" },
  gregor_walk: { parameters: ["u32", "f64", "u32", "u32", "f64", "f64"], result: "i32" },
  gregor_walk_bytes: { parameters: ["u32", "buffer", "u32", "u32", "f64", "f64"], result: "i32" },
  gregor_compactor_open: { parameters: ["f64", "u32", "u32", "u32", "u32"], result: "i32" },
  gregor_compactor_close: { parameters: ["u32"], result: "i32" },
  gregor_compactor_report: { parameters: ["u32"], result: "pointer" },
  gregor_compact_index: {
    parameters: ["u32", "buffer", "f64", "u32", "f64", "u32", "f64"],
    result: "i32",
  },
  gregor_compact_rewrite: {
    parameters: [
      "u32",
      "buffer",
      "f64",
      "u32",
      "f64",
      "u32",
      "f64",
      "u32",
      "f64",
      "u32",
      "f64",
      "f64",
      "f64",
    ],
    result: "i32",
  },
  gregor_copy: { parameters: ["f64", "f64", "u32"], result: "i32" },
  gregor_ring_open: { parameters: ["u32", "u32", "u32", "u32", "u32"], result: "i32" },
  gregor_ring_mapping: { parameters: ["u32"], result: "pointer" },
  gregor_ring_close: { parameters: ["u32"], result: "i32" },
  gregor_ring_add_group: { parameters: ["u32", "u32", "u32"], result: "i32" },
  gregor_ring_watch: { parameters: ["u32", "f64"], result: "i32" },
  gregor_turn: { parameters: ["u32", "u32", "u32", "u32", "u32"], result: "i32" },
  gregor_submit: { parameters: ["u32", "u32"], result: "i32" },
  gregor_ring_wake: { parameters: ["u32"], result: "i32" },
  gregor_fault_set: {
    parameters: ["u32", "u32", "i32", "i32", "i32", "u32", "u32", "u32", "u32"],
    result: "i32",
  },
  gregor_fault_clear: { parameters: ["u32"], result: "i32" },
  gregor_set_root: { parameters: ["buffer", "u32"], result: "i32" },
  gregor_probe_direct: { parameters: [], result: "i32" },
  gregor_lock_file: { parameters: ["buffer", "u32"], result: "i32" },
  gregor_file_size: { parameters: ["buffer", "u32"], result: "f64" },
  gregor_free_bytes: { parameters: [], result: "f64" },
  gregor_total_bytes: { parameters: [], result: "f64" },
  gregor_listen: { parameters: ["buffer", "u32", "u32"], result: "i32" },
  gregor_resolve: { parameters: ["buffer", "u32", "u32", "buffer", "u32"], result: "i32" },
  gregor_pattern_problem: { parameters: ["buffer", "u32", "buffer", "u32"], result: "i32" },
  gregor_pattern_mark: {
    parameters: ["buffer", "u32", "buffer", "u32", "buffer", "u32"],
    result: "i32",
  },
  gregor_socket_for: { parameters: ["buffer", "u32"], result: "i32" },
  gregor_local_port: { parameters: ["i32"], result: "i32" },
  gregor_peer: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  gregor_set_nodelay: { parameters: ["i32"], result: "i32" },
  gregor_set_low_water: { parameters: ["i32", "i32"], result: "i32" },
  gregor_set_confirm_ms: { parameters: ["i32", "i32"], result: "i32" },
  gregor_shutdown: { parameters: ["i32"], result: "i32" },
  gregor_close_fd: { parameters: ["i32"], result: "i32" },
  gregor_pin_thread: { parameters: ["u32"], result: "i32" },
  gregor_allowed_cpus: { parameters: ["buffer", "u32"], result: "i32" },
  gregor_lockable_bytes: { parameters: [], result: "f64" },
  gregor_probe_uring: { parameters: [], result: "i32" },
  gregor_huge_pages: { parameters: [], result: "i32" },
  gregor_raise_file_limit: { parameters: [], result: "i32" },
  gregor_notify: { parameters: ["buffer", "u32", "buffer", "u32"], result: "i32" },
  gregor_monotonic_ms: { parameters: [], result: "f64" },
} as const satisfies Deno.ForeignLibraryInterface;

/** The functions of the shim, by the names that the library gives them. */
export type Shim = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

/** The shim is missing or does not fit; the message says what to do. */
export class ShimUnavailable extends Error {
  override name = "ShimUnavailable";
}

/** Where the library is: a part of the one-file program, or where `scripts/build_shim.ts` leaves it. */
export function defaultShimPath(): string {
  const { shim } = packed() ?? {};
  if (shim !== undefined) return shim;
  const fromHere = new URL("../../ffi/target/release/libgregor.so", import.meta.url);
  return decodeURIComponent(fromHere.pathname);
}

/**
 * Loads the shim for this thread; it stays loaded.
 *
 * @param path of the library; without it, where the build leaves it
 * @throws {ShimUnavailable} when it is missing or lacks a function
 */
export function loadShim(path: string = defaultShimPath()): Shim {
  try {
    return Deno.dlopen(path, SYMBOLS).symbols;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ShimUnavailable(
      `Cannot load the shim ${path}: ${reason}. Build it with "deno run -A scripts/build_shim.ts".`,
      { cause },
    );
  }
}

const encoder = new TextEncoder();

/** Bytes of `text`, as the shim's `buffer` arguments take them. */
export function encodeText(text: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(text);
}
