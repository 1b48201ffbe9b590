/**
 * The name space of the simulator's disk: a tree of directories, volatile until synced.
 *
 * Every change of a name is pending until `syncDirectory` of its parent (a rename: of either parent).
 * A crash keeps a random run of the first changes of each directory, as a journaling file system does.
 *
 * @module
 */

import type { Random } from "../base/prng.ts";
import { EEXIST, EISDIR, ENAMETOOLONG, ENOENT, ENOTDIR, ENOTEMPTY } from "./errno.ts";
import type { MemoryFile } from "./memory_file.ts";

/** What a name stands for: a file, or a directory. */
export type MemoryNode = MemoryFile | "directory";

/** As in most file systems (bytes; names here are ASCII). */
const NAME_LENGTH_MAX = 255;

interface PendingName {
  readonly from: string | null;
  readonly to: string | null;
  readonly node: MemoryNode;
  readonly stamp: number;
}

export class MemoryNames {
  #current = new Map<string, MemoryNode>();
  #durable = new Map<string, MemoryNode>();
  #pending: PendingName[] = [];

  get(path: string): MemoryNode | undefined {
    return isRoot(path) ? "directory" : this.#current.get(path);
  }

  /** Every distinct file that has a name now. */
  files(): MemoryFile[] {
    const files: MemoryFile[] = [];
    for (const node of this.#current.values()) if (node !== "directory") files.push(node);
    return files;
  }

  /** Paths of all files, sorted. */
  paths(): string[] {
    const paths: string[] = [];
    for (const [path, node] of this.#current) if (node !== "directory") paths.push(path);
    return paths.sort();
  }

  /** Zero, or why `path` cannot be created. */
  checkNew(path: string): number {
    if (this.get(path) !== undefined) return -EEXIST;
    if (path.slice(path.lastIndexOf("/") + 1).length > NAME_LENGTH_MAX) return -ENAMETOOLONG;
    const parent = this.get(parentOf(path));
    if (parent === undefined) return -ENOENT;
    return parent === "directory" ? 0 : -ENOTDIR;
  }

  create(path: string, node: MemoryNode, stamp: number): void {
    this.#change({ from: null, to: path, node, stamp });
  }

  unlink(path: string, stamp: number): number {
    const node = this.get(path);
    if (node === undefined) return -ENOENT;
    if (node === "directory") return -EISDIR;
    this.#change({ from: path, to: null, node, stamp });
    return 0;
  }

  removeDirectory(path: string, stamp: number): number {
    const node = this.get(path);
    if (node === undefined) return -ENOENT;
    if (node !== "directory") return -ENOTDIR;
    if (this.#isFull(path)) return -ENOTEMPTY;
    this.#change({ from: path, to: null, node, stamp });
    return 0;
  }

  /** Renames a file or a directory with all below it; a file in the way is replaced. */
  rename(from: string, to: string, stamp: number): number {
    const node = this.get(from);
    if (node === undefined || this.get(parentOf(to)) === undefined) return -ENOENT;
    const target = this.get(to);
    if (target === "directory" && node !== "directory") return -EISDIR;
    if (target === "directory" && this.#isFull(to)) return -ENOTEMPTY;
    if (target !== undefined && target !== "directory" && node === "directory") return -ENOTDIR;
    this.#change({ from, to, node, stamp });
    return 0;
  }

  /** Names in a directory, sorted; -ENOENT or -ENOTDIR where there is none. */
  list(path: string): string[] | number {
    const node = this.get(path);
    if (node !== "directory") return node === undefined ? -ENOENT : -ENOTDIR;
    const prefix = isRoot(path) ? "" : path + "/";
    const names: string[] = [];
    for (const name of this.#current.keys()) {
      if (name.startsWith(prefix) && !name.includes("/", prefix.length)) {
        names.push(name.slice(prefix.length));
      }
    }
    return names.sort();
  }

  #isFull(directory: string): boolean {
    return (this.list(directory) as string[]).length > 0;
  }

  /** Makes the changes up to `stamp` in directory `path` durable; in all of them when null. */
  sync(path: string | null, stamp: number): void {
    const rest: PendingName[] = [];
    for (const change of this.#pending) {
      const covered = change.stamp <= stamp && (path === null || touches(change, path));
      if (covered) apply(this.#durable, change);
      else rest.push(change);
    }
    this.#pending = rest;
  }

  crash(random: Random): void {
    const lost = new Set<string>();
    for (const change of this.#pending) {
      const parents = [change.from, change.to].filter((name) => name !== null).map(parentOf);
      const kept = parents.every((parent) => !lost.has(parent)) && random.nextBelow(2) === 0;
      if (kept) apply(this.#durable, change);
      else for (const parent of parents) lost.add(parent);
    }
    this.#pending = [];
    // A name below a directory whose own name was lost is lost too.
    for (const name of [...this.#durable.keys()].sort()) {
      const parent = parentOf(name);
      if (!isRoot(parent) && !this.#durable.has(parent)) this.#durable.delete(name);
    }
    this.#current = new Map(this.#durable);
  }

  /** Names of their own, for files of their own, as a crash has left them. */
  copy(): MemoryNames {
    const names = new MemoryNames();
    for (const [path, node] of this.#durable) {
      names.#durable.set(path, node === "directory" ? node : node.copy());
    }
    names.#current = new Map(names.#durable);
    return names;
  }

  /** Damage: a file's name is gone. */
  lose(path: string): void {
    this.#current.delete(path);
    this.#durable.delete(path);
  }

  #change(change: PendingName): void {
    apply(this.#current, change);
    this.#pending.push(change);
  }
}

function apply(names: Map<string, MemoryNode>, change: PendingName): void {
  if (change.from === change.to) return;
  if (change.from !== null) {
    names.delete(change.from);
    if (change.node === "directory" && change.to !== null) {
      const below = change.from + "/";
      for (const [name, node] of [...names]) {
        if (!name.startsWith(below)) continue;
        names.delete(name);
        names.set(change.to + "/" + name.slice(below.length), node);
      }
    }
  }
  if (change.to !== null) names.set(change.to, change.node);
}

function touches(change: PendingName, directory: string): boolean {
  const path = isRoot(directory) ? "" : directory;
  return (change.from !== null && parentOf(change.from) === path) ||
    (change.to !== null && parentOf(change.to) === path);
}

function isRoot(path: string): boolean {
  return path === "" || path === ".";
}

function parentOf(path: string): string {
  const slash = path.lastIndexOf("/");
  return slash < 0 ? "" : path.slice(0, slash);
}
