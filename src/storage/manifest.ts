/**
 * The node's manifest: the one file that names the valid journals and checkpoints.
 *
 * It is text, for people with a damaged disk, padded with newlines to whole blocks:
 *
 * ```
 *   gregor manifest crc32c=1a2b3c4d bytes=812
 *   {
 *     "formatVersion": 8,
 *     ...
 *   }
 * ```
 *
 * The CRC covers the JSON's bytes. This first line stays as it is in every later format, so that a newer
 * manifest can be distinguished from a damaged one. The file is replaced as a whole: written beside, synced, renamed
 * over, directory synced; a crash leaves the old one or the new one.
 *
 * @module
 */

import type { Arena } from "../bytes/arena.ts";
import { crc32cOfBytes } from "../bytes/crc32c.ts";
import type { Memory } from "../bytes/memory.ts";
import { BLOCK_SIZE, type Disk } from "../io/disk.ts";
import { EFBIG, EIO, ENOENT, ENOMEM } from "../io/errno.ts";
import { io, type Task } from "../io/task.ts";

/**
 * The newest format that this program reads, and the one that it writes. It stands for everything that the
 * manifest names, and is raised with the format of any of it: an older program that went on would take rows
 * that it cannot read for damage.
 */
export const MANIFEST_FORMAT_VERSION = 8;
export const MANIFEST_PATH = "manifest";
/** Read when the manifest is lost; written after it, best effort. */
export const MANIFEST_COPY_PATH = "manifest.copy";
const TEMPORARY_PATH = "manifest.new";
/** Everything that may be there of a manifest. */
export const MANIFEST_PATHS: readonly string[] = [
  MANIFEST_PATH,
  TEMPORARY_PATH,
  MANIFEST_COPY_PATH,
];
/** Shards of earlier runs that are kept at a time, each with the files of its ring. */
export const KEPT_SHARDS_MAX = 256;
/** Largest manifest (bytes): that of as many kept shards, each with 3,000 groups. */
export const MANIFEST_BYTES_MAX = 8 * 2 ** 20;
/** Memory from which the manifest of an open node is written, piece by piece. */
const UPDATE_BUFFER_BYTES = 64 * 1024;
const FIRST_LINE = /^gregor manifest crc32c=([0-9a-f]{8}) bytes=([0-9]{1,9})\n/;

/** The files of one shard. */
export interface ShardManifest {
  /** Never given to another journal of the node. */
  readonly journalId: number;
  /** LSN from which the journal may hold records that no checkpoint has. */
  readonly firstLsn: number;
  /** The journal's ring, in order: paths in the data directory, each of `extentBytes`. */
  readonly extents: readonly string[];
  readonly extentBytes: number;
  /** The two checkpoint slots. */
  readonly checkpoints: readonly [string, string];
}

/**
 * A shard of an earlier run, kept as it was: its device withheld a file of it. Some of its groups are suspect, and
 * nothing was added to them since.
 */
export interface KeptShard extends ShardManifest {
  /** Epoch of its journal's records. */
  readonly mountEpoch: number;
  /** The groups that may have lost records with it. */
  readonly groups: readonly number[];
}

/** A node that founded a cluster, and where the others reached it then. */
export interface ManifestFounder {
  readonly nodeId: number;
  readonly incarnation: string;
  readonly host: string;
  readonly port: number;
}

/** Who the node is, and which cluster it belongs to. */
export interface NodeIdentity {
  /** 32 hexadecimal digits: this life of the data directory; empty until its first start has come that far. */
  readonly incarnation: string;
  /** The cluster the node belongs to; empty until it has joined one. */
  readonly clusterId: string;
  /** Who founded that cluster, by node id; empty where it is not known. */
  readonly founders: readonly ManifestFounder[];
  /** A cluster that the node has agreed to found, and of which it does not know whether it came to be. */
  readonly pledge: {
    readonly clusterId: string;
    readonly founders: readonly ManifestFounder[];
  } | null;
  /** Nodes without which the cluster's metadata went on, in the lives that they had; absent: none. */
  readonly givenUp?: readonly ManifestFounder[];
  /** The metadata goes on with this node alone, and what belongs to that is not done yet. Absent before format 5. */
  readonly isRecovering?: boolean;
  /**
   * Nodes besides this one that may have a copy of the metadata, in the lives that they have; absent: not known. Before
   * format 7 only their ids were noted: the rest is empty then.
   */
  readonly keepers?: readonly ManifestFounder[];
}

export interface Manifest extends NodeIdentity {
  readonly formatVersion: number;
  readonly nodeId: number;
  /** Epoch of the journals' records; a new mount writes a larger one before its first record. */
  readonly mountEpoch: number;
  /** The next journal's id. */
  readonly nextJournalId: number;
  readonly shards: readonly ShardManifest[];
  /** Absent before format 4. */
  readonly kept?: readonly KeptShard[];
}

/** Every file that a manifest names. */
export function filesOf({ shards, kept = [] }: Manifest): string[] {
  return [...shards, ...kept].flatMap(({ extents, checkpoints }) => [...extents, ...checkpoints]);
}

/** What reading the manifest gave. */
export type ManifestRead =
  | { readonly kind: "found"; readonly manifest: Manifest }
  /** A new data directory. */
  | { readonly kind: "none" }
  /** Written by a later program: nothing in the directory may be touched (exit 73). */
  | { readonly kind: "newer"; readonly formatVersion: number }
  /** Exit 65. */
  | { readonly kind: "damaged"; readonly reason: string }
  | { readonly kind: "error"; readonly errno: number };

export interface ManifestBuffer {
  readonly disk: Disk;
  readonly memory: Memory;
  /** A buffer in the region, aligned to the block; one block at least, whatever the manifest's size. */
  readonly bufferAddress: number;
  readonly bufferBytes: number;
}

/** A manifest that was found, and why it is the copy that was read; null: it is not. */
export interface ManifestFound {
  readonly read: ManifestRead;
  readonly copyBecause: string | null;
}

/** Reads the manifest, or its copy when it is gone or damaged. */
export function* findManifest(options: ManifestBuffer): Task<ManifestFound> {
  const read = yield* readManifest(options);
  if (read.kind === "found" || read.kind === "newer") return { read, copyBecause: null };
  const copy = yield* readManifest(options, MANIFEST_COPY_PATH);
  if (copy.kind === "newer") return { read: copy, copyBecause: null };
  if (copy.kind !== "found") return { read, copyBecause: null };
  const copyBecause = read.kind === "none"
    ? "it is gone"
    : read.kind === "damaged"
    ? read.reason
    : `errno ${read.errno}`;
  return { read: copy, copyBecause };
}

/** Reads the manifest of the data directory, or a copy of it. */
export function* readManifest(
  options: ManifestBuffer,
  path: string = MANIFEST_PATH,
): Task<ManifestRead> {
  const { disk, memory, bufferAddress } = options;
  const handle = yield* io((done) => disk.open(path, false, done));
  if (handle === -ENOENT) return { kind: "none" };
  if (handle < 0) return { kind: "error", errno: -handle };
  const pieces: Uint8Array[] = [];
  const pieceBytes = pieceBytesOf(options);
  let position = 0;
  let read = pieceBytes;
  while (read === pieceBytes && position < MANIFEST_BYTES_MAX) {
    read = yield* io((done) => disk.read(handle, position, bufferAddress, pieceBytes, done));
    if (read > 0) pieces.push(memory.bytes.slice(bufferAddress, bufferAddress + read));
    position += read;
  }
  yield* io((done) => disk.close(handle, done));
  if (read < 0) return { kind: "error", errno: -read };
  return decodeManifest(joined(pieces));
}

/** The part of a buffer that is whole blocks. */
function pieceBytesOf({ bufferBytes }: ManifestBuffer): number {
  return Math.floor(bufferBytes / BLOCK_SIZE) * BLOCK_SIZE;
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

/**
 * Replaces the copy; to be called when the manifest itself is durable, and before anything that only the one
 * before it names is removed. If that fails there is no copy: an old one would be wrong.
 */
export function* writeManifestCopy(options: ManifestBuffer, manifest: Manifest): Task<void> {
  const written = yield* writeManifest(options, manifest, MANIFEST_COPY_PATH);
  if (written >= 0) return;
  const { disk } = options;
  yield* io((done) => disk.unlink(MANIFEST_COPY_PATH, done));
}

/**
 * Replaces the manifest (or its copy); zero when the new one is durable, or a negative errno: EFBIG where it would be
 * larger than {@linkcode MANIFEST_BYTES_MAX}.
 */
export function* writeManifest(
  options: ManifestBuffer,
  manifest: Manifest,
  path: string = MANIFEST_PATH,
): Task<number> {
  const { disk } = options;
  const bytes = encodeManifest(manifest);
  if (bytes.length > MANIFEST_BYTES_MAX) return -EFBIG;
  const handle = yield* io((done) => disk.open(TEMPORARY_PATH, true, done));
  if (handle < 0) return handle;
  let result = yield* io((done) => disk.truncate(handle, 0, done));
  if (result === 0) result = yield* writePieces(options, handle, bytes);
  if (result === 0) result = yield* io((done) => disk.sync(handle, done));
  yield* io((done) => disk.close(handle, done));
  if (result !== 0) return result;
  result = yield* io((done) => disk.rename(TEMPORARY_PATH, path, done));
  if (result !== 0) return result;
  return yield* io((done) => disk.syncDirectory("", done));
}

/** Writes `bytes`, which are whole blocks, as a file's contents; zero or a negative errno. */
function* writePieces(options: ManifestBuffer, handle: number, bytes: Uint8Array): Task<number> {
  const { disk, memory, bufferAddress } = options;
  const pieceBytes = pieceBytesOf(options);
  for (let position = 0; position < bytes.length; position += pieceBytes) {
    const piece = bytes.subarray(position, position + pieceBytes);
    memory.bytes.set(piece, bufferAddress);
    const written = yield* io((done) =>
      disk.write(handle, position, bufferAddress, piece.length, true, done)
    );
    if (written < 0) return written;
    if (written < piece.length) return -EIO;
  }
  return 0;
}

/**
 * Replaces the manifest of a node that is open, and its copy; the new one names the same files. Zero, or a negative
 * errno.
 */
export function* updateManifest(
  { disk, memory, arena }: {
    readonly disk: Disk;
    readonly memory: Memory;
    readonly arena: Arena;
  },
  manifest: Manifest,
): Task<number> {
  const bufferBytes = Math.min(UPDATE_BUFFER_BYTES, arena.blockSizeMax);
  const bufferAddress = arena.allocate(bufferBytes);
  if (bufferAddress < 0) return -ENOMEM;
  const place = { disk, memory, bufferAddress, bufferBytes };
  const result = yield* writeManifest(place, manifest);
  if (result === 0) yield* writeManifestCopy(place, manifest);
  arena.release(bufferAddress);
  return result;
}

/** The manifest's bytes, padded to whole blocks. */
export function encodeManifest(manifest: Manifest): Uint8Array {
  const text = JSON.stringify(manifest, groupsToText, 2);
  const json = new TextEncoder().encode(`${text}\n`);
  const crc = crc32cOfBytes(json, 0, json.length, 0).toString(16).padStart(8, "0");
  const line = new TextEncoder().encode(`gregor manifest crc32c=${crc} bytes=${json.length}\n`);
  const size = Math.ceil((line.length + json.length) / BLOCK_SIZE) * BLOCK_SIZE;
  const bytes = new Uint8Array(size).fill(10);
  bytes.set(line, 0);
  bytes.set(json, line.length);
  return bytes;
}

/** Reads a manifest's bytes; never throws. */
export function decodeManifest(bytes: Uint8Array): ManifestRead {
  const start = new TextDecoder("latin1").decode(bytes.subarray(0, 80));
  const line = FIRST_LINE.exec(start);
  if (line === null) return { kind: "damaged", reason: "its first line is not a manifest's" };
  const at = line[0].length;
  const length = Number(line[2]);
  if (at + length > bytes.length) {
    return { kind: "damaged", reason: `it is cut: ${bytes.length - at} of ${length} bytes` };
  }
  const crc = crc32cOfBytes(bytes, at, at + length, 0);
  if (crc !== parseInt(line[1]!, 16)) {
    return { kind: "damaged", reason: `its CRC is ${crc.toString(16)}, not ${line[1]}` };
  }
  const value = parse(new TextDecoder().decode(bytes.subarray(at, at + length)));
  if (value === null) return { kind: "damaged", reason: "it is not a JSON object" };
  const version = value.formatVersion;
  if (!isCount(version)) return { kind: "damaged", reason: "formatVersion is not a number" };
  if (version > MANIFEST_FORMAT_VERSION) return { kind: "newer", formatVersion: version };
  const reason = problemOf(value);
  if (reason !== null) return { kind: "damaged", reason };
  const { keepers } = value;
  const known = Array.isArray(keepers) ? { keepers: keepers.map(keeperOf) } : {};
  return { kind: "found", manifest: { ...NO_IDENTITY, ...value, ...known } as unknown as Manifest };
}

/** Formats 5 and 6 have a number for each. */
function keeperOf(keeper: number | ManifestFounder): ManifestFounder {
  return typeof keeper === "number"
    ? { nodeId: keeper, incarnation: "", host: "", port: 0 }
    : keeper;
}

/** Of a directory that no start has given one; before version 3 none had. */
const NO_IDENTITY: NodeIdentity = { incarnation: "", clusterId: "", founders: [], pledge: null };

/** What the next manifest keeps of the one before. */
export function identityOf(manifest: Manifest | null): NodeIdentity {
  const { incarnation, clusterId, founders, pledge, ...rest } = manifest ?? NO_IDENTITY;
  const { givenUp, isRecovering, keepers } = rest;
  return {
    incarnation,
    clusterId,
    founders,
    pledge,
    ...givenUp === undefined ? {} : { givenUp },
    ...isRecovering === undefined ? {} : { isRecovering },
    ...keepers === undefined ? {} : { keepers },
  };
}

type Fields = Record<string, unknown>;

/** The first invalid field, or null. */
function problemOf(value: Fields): string | null {
  for (const name of ["nodeId", "mountEpoch", "nextJournalId"]) {
    if (!isCount(value[name])) return `${name} is not a number`;
  }
  if (typeof value.clusterId !== "string") return "clusterId is not a string";
  const identity = identityProblem(value);
  if (identity !== null) return identity;
  if (!Array.isArray(value.shards)) return "shards is not a list";
  if (value.kept !== undefined && !Array.isArray(value.kept)) return "kept is not a list";
  for (const [i, shard] of value.shards.entries()) {
    const problem = problemOfShard(shard);
    if (problem !== null) return `shards[${i}]${problem}`;
  }
  for (const [i, kept] of (value.kept ?? []).entries()) {
    const problem = problemOfShard(kept);
    if (problem !== null) return `kept[${i}]${problem}`;
    if (!isCount(kept.mountEpoch)) return `kept[${i}].mountEpoch is not a number`;
    const { groups } = kept;
    if (!Array.isArray(groups) || !groups.every(isCount)) return `kept[${i}].groups is no list`;
  }
  return null;
}

/** Fields since version 3. */
function identityProblem(
  {
    incarnation = "",
    founders = [],
    pledge = null,
    givenUp = [],
    isRecovering = false,
    keepers = [],
  }: Fields,
): string | null {
  if (typeof incarnation !== "string" || !/^(?:[0-9a-f]{32})?$/.test(incarnation)) {
    return "incarnation is not one";
  }
  if (!isFounders(founders)) return "founders is not a list of nodes";
  if (!isFounders(givenUp)) return "givenUp is not a list of nodes";
  if (typeof isRecovering !== "boolean") return "isRecovering is neither true nor false";
  const isKeepers = Array.isArray(keepers) &&
    keepers.every((keeper) => isCount(keeper) || isFounders([keeper]));
  if (!isKeepers) return "keepers is not a list of nodes";
  if (pledge === null) return null;
  const { clusterId, founders: others } = pledge as Fields;
  return typeof clusterId === "string" && isFounders(others) ? null : "pledge is not one";
}

function isFounders(value: unknown): boolean {
  return Array.isArray(value) &&
    value.every((founder: Fields | null) =>
      isCount(founder?.nodeId) && isCount(founder?.port) &&
      typeof founder?.incarnation === "string" && typeof founder?.host === "string"
    );
}

/** The same of one shard, without its place. */
function problemOfShard(shard: Fields | null): string | null {
  if (typeof shard !== "object" || shard === null) return " is not an object";
  for (const name of ["journalId", "firstLsn", "extentBytes"]) {
    if (!isCount(shard[name])) return `.${name} is not a number`;
  }
  if ((shard.extentBytes as number) % BLOCK_SIZE !== 0) {
    return `.extentBytes is not a multiple of ${BLOCK_SIZE}`;
  }
  if (!isPaths(shard.extents) || shard.extents.length === 0) {
    return ".extents is not a list of paths";
  }
  if (!isPaths(shard.checkpoints) || shard.checkpoints.length !== 2) {
    return ".checkpoints is not a pair of paths";
  }
  return null;
}

/** A number a line would make manifests of many groups large. */
function groupsToText(key: string, value: unknown): unknown {
  return key === "groups" && Array.isArray(value) ? value.join(" ") : value;
}

function groupsFromText(key: string, value: unknown): unknown {
  return key === "groups" && typeof value === "string" ? value.split(" ").map(Number) : value;
}

function parse(text: string): Fields | null {
  try {
    const value: unknown = JSON.parse(text, groupsFromText);
    return typeof value === "object" && value !== null ? value as Fields : null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isPaths(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((path) => typeof path === "string" && path !== "");
}
