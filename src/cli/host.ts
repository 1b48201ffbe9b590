/**
 * What this host, or the container that the process is in, gives it.
 *
 * @module
 */

import type { MemoryLimits } from "../io/host_problem.ts";
import type { Host } from "./start_options.ts";

const CGROUPS = "/sys/fs/cgroup";

/** Cores that the process may run on, and memory that it may have. */
export function inspectHost(): Host {
  const { ramBytes, cgroupBytes } = inspectMemory();
  return {
    coreCount: navigator.hardwareConcurrency,
    memoryBytes: Math.min(ramBytes, cgroupBytes),
    name: Deno.hostname(),
  };
}

/** The part of the host's memory that the process may use, and the source of the limit. */
export function inspectMemory(): MemoryLimits {
  const { total, available } = Deno.systemMemoryInfo();
  const ownCgroups = readHostFile("/proc/self/cgroup") ?? "";
  let cgroupBytes = Infinity;
  let cgroupFile = "";
  for (const file of memoryLimitFiles(ownCgroups)) {
    const limit = Number(readHostFile(file)?.trim());
    // Version 1 says "none" with a number beyond any memory.
    if (!Number.isFinite(limit) || limit <= 0 || limit >= cgroupBytes || limit > total) continue;
    cgroupBytes = limit;
    cgroupFile = file;
  }
  return { ramBytes: total, availableBytes: available, cgroupBytes, cgroupFile };
}

/** Files that may limit the process's memory: its cgroups' and those of all that they are in, both versions. */
export function memoryLimitFiles(ownCgroups: string): string[] {
  const files: string[] = [];
  for (const line of ownCgroups.split("\n")) {
    const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
    if (controllers === undefined || path === undefined) continue;
    const isVersion2 = controllers === "";
    if (!isVersion2 && !controllers.split(",").includes("memory")) continue;
    const root = isVersion2 ? CGROUPS : `${CGROUPS}/memory`;
    const name = isVersion2 ? "memory.max" : "memory.limit_in_bytes";
    const parts = path.split("/").filter((part) => part !== "");
    for (let depth = parts.length; depth >= 0; depth--) {
      files.push([root, ...parts.slice(0, depth), name].join("/"));
    }
  }
  return files;
}

/** Type of the file system that holds a folder, as the kernel names it; null: it is not known. */
export function fileSystemOf(folder: string): string | null {
  const path = Deno.realPathSync(folder);
  let best = "";
  let type: string | null = null;
  for (const line of readHostFile("/proc/self/mounts")?.split("\n") ?? []) {
    const [, point, kind] = line.split(" ");
    if (point === undefined || kind === undefined || point.length < best.length) continue;
    if (path !== point && !path.startsWith(point.endsWith("/") ? point : `${point}/`)) continue;
    best = point;
    type = kind;
  }
  return type;
}

/** A file in which the kernel says something; null: there is no such file, or none that may be read. */
export function readHostFile(path: string): string | null {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied) {
      return null;
    }
    throw error;
  }
}
