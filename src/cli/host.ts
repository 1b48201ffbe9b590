/**
 * What this host, or the container that the process is in, gives it.
 *
 * @module
 */

import type { Host } from "./start_options.ts";

/** Cores that the process may run on, and memory that it may have. */
export function inspectHost(): Host {
  const physical = Deno.systemMemoryInfo().total;
  const limits = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
    .map(readLimit);
  return {
    coreCount: navigator.hardwareConcurrency,
    memoryBytes: Math.min(physical, ...limits),
    name: Deno.hostname(),
  };
}

/** A cgroup's limit in bytes; Infinity when there is none ("max") or no such file. */
function readLimit(path: string): number {
  try {
    const limit = Number(Deno.readTextFileSync(path).trim());
    return Number.isFinite(limit) && limit > 0 ? limit : Infinity;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied) {
      return Infinity;
    }
    throw error;
  }
}
