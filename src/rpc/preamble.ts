/**
 * How a connection between nodes begins: the preamble of who connects, and the answer, which are the only bytes that
 * ever go back.
 *
 * ```text
 *   preamble (80 bytes)                        answer (64 bytes)
 *    0  u32  magic "GRP1"                        0  u32  magic "GRA1"
 *    4  u16  version, 1                          4  u16  version, 1
 *    6  u8   lane   7  u8  zero                  6  u16  status
 *    8  16   cluster id; zero: in none           8  16   cluster id
 *   24  i32  node id                            24  i32  node id
 *   28  16   incarnation of the node            28  16   incarnation of the node
 *   44  u16  from shard                         44  u16  shards of the node
 *   46  u16  shards of the node                 46  u16  zero
 *   48  u16  target shard                       48  u32  logical version
 *   50  u16  zero                               52  u32  largest payload that it takes on this connection (bytes)
 *   52  i32  target node; -1: any               56  u32  process
 *   56  u32  logical version                    60  u32  CRC-32C of the bytes 0 to 59
 *   60  u32  process
 *   64  12   zero
 *   76  u32  CRC-32C of the bytes 0 to 75
 * ```
 *
 * Little-endian. The magic and the version keep their place in every later version, and so does the status.
 *
 * @module
 */

import type { Crc32c } from "../bytes/crc32c.ts";
import type { Memory } from "../bytes/memory.ts";

export const PREAMBLE_SIZE = 80;
export const ANSWER_SIZE = 64;

const PREAMBLE_MAGIC = 0x31505247;
const ANSWER_MAGIC = 0x31415247;
const VERSION = 1;
const SHARDS_MAX = 1024;
const LOGICAL_VERSION_MAX = 2 ** 30;
const ID_SIZE = 16;

/** An id of 16 bytes as text: nothing. */
export const ZERO_ID = "0".repeat(2 * ID_SIZE);

/** Messages of different kinds have connections of their own, so that none waits behind large ones. */
export const Lane = {
  /** Small and urgent: votes, heartbeats, replies. */
  CONTROL: 0,
  /** Records, snapshots, calls. */
  DATA: 1,
} as const;
export type Lane = typeof Lane[keyof typeof Lane];

/** Who a node says it is. */
export interface NodeIdentity {
  /** 32 hexadecimal digits; {@linkcode ZERO_ID}: it is in no cluster yet. */
  readonly clusterId: string;
  readonly nodeId: number;
  /** 32 hexadecimal digits; of this life of its data directory. */
  readonly incarnation: string;
  /** A number that the process drew at its start, below 2^32. */
  readonly process: number;
  readonly shardCount: number;
  /** What it is able to do, as a number that only grows. */
  readonly logicalVersion: number;
}

export interface Preamble extends NodeIdentity {
  readonly lane: Lane;
  readonly fromShard: number;
  readonly targetShard: number;
  /** -1: whoever answers. */
  readonly targetNode: number;
}

export const GreetingStatus = {
  OK: 0,
  /** It belongs to another cluster. */
  OTHER_CLUSTER: 1,
  /** It has fewer shards: the answer says how many. */
  NO_SUCH_SHARD: 2,
  /** Another node has this address now. */
  OTHER_NODE: 3,
  /** It has no room, or is stopping. */
  BUSY: 4,
  /** The node has connected to itself. */
  SELF: 5,
  /** Two nodes have the same id: the one that answers, or one that is connected to it, and the one that asks. */
  SAME_ID: 6,
  /** It does not know this version of the protocol. */
  VERSION: 7,
} as const;
export type GreetingStatus = typeof GreetingStatus[keyof typeof GreetingStatus];

const STATUS_WORDS: Readonly<Record<GreetingStatus, string>> = {
  [GreetingStatus.OK]: "accepted",
  [GreetingStatus.OTHER_CLUSTER]: "the two nodes belong to different clusters",
  [GreetingStatus.NO_SUCH_SHARD]: "there is no such shard",
  [GreetingStatus.OTHER_NODE]: "another node has this address",
  [GreetingStatus.BUSY]: "it has no room for another connection, or is stopping",
  [GreetingStatus.SELF]: "the node has connected to itself",
  [GreetingStatus.SAME_ID]: "another node with the same id is there",
  [GreetingStatus.VERSION]: "the two speak different versions of the protocol",
};

/** For the log. */
export function describeStatus(status: GreetingStatus): string {
  return STATUS_WORDS[status];
}

export interface Answer extends NodeIdentity {
  readonly status: GreetingStatus;
  /** Largest payload that it takes on this connection (bytes). */
  readonly frameSizeMax: number;
}

/** Writes a preamble at `at`. */
export function writePreamble(
  memory: Memory,
  at: number,
  preamble: Preamble,
  crc32c: Crc32c,
): void {
  const { bytes, view } = memory;
  bytes.fill(0, at, at + PREAMBLE_SIZE);
  view.setUint32(at, PREAMBLE_MAGIC, true);
  view.setUint16(at + 4, VERSION, true);
  view.setUint8(at + 6, preamble.lane);
  writeId(bytes, at + 8, preamble.clusterId);
  view.setInt32(at + 24, preamble.nodeId, true);
  writeId(bytes, at + 28, preamble.incarnation);
  view.setUint16(at + 44, preamble.fromShard, true);
  view.setUint16(at + 46, preamble.shardCount, true);
  view.setUint16(at + 48, preamble.targetShard, true);
  view.setInt32(at + 52, preamble.targetNode, true);
  view.setUint32(at + 56, preamble.logicalVersion, true);
  view.setUint32(at + 60, preamble.process, true);
  view.setUint32(at + PREAMBLE_SIZE - 4, crc32c(at, PREAMBLE_SIZE - 4, 0), true);
}

/** Reads the preamble at `at`: "version" when it is of another version, null when it is none. */
export function readPreamble(
  memory: Memory,
  at: number,
  crc32c: Crc32c,
): Preamble | "version" | null {
  const { bytes, view } = memory;
  if (view.getUint32(at, true) !== PREAMBLE_MAGIC) return null;
  if (view.getUint16(at + 4, true) !== VERSION) return "version";
  const crc = crc32c(at, PREAMBLE_SIZE - 4, 0);
  if (view.getUint32(at + PREAMBLE_SIZE - 4, true) !== crc) return null;
  const lane = view.getUint8(at + 6);
  const nodeId = view.getInt32(at + 24, true);
  const fromShard = view.getUint16(at + 44, true);
  const shardCount = view.getUint16(at + 46, true);
  if (lane !== Lane.CONTROL && lane !== Lane.DATA) return null;
  if (nodeId < 0 || shardCount > SHARDS_MAX || fromShard >= shardCount) return null;
  const logicalVersion = view.getUint32(at + 56, true);
  if (logicalVersion > LOGICAL_VERSION_MAX) return null;
  return {
    lane,
    clusterId: readId(bytes, at + 8),
    nodeId,
    incarnation: readId(bytes, at + 28),
    process: view.getUint32(at + 60, true),
    fromShard,
    shardCount,
    targetShard: view.getUint16(at + 48, true),
    targetNode: view.getInt32(at + 52, true),
    logicalVersion,
  };
}

/** Writes an answer at `at`. */
export function writeAnswer(memory: Memory, at: number, answer: Answer, crc32c: Crc32c): void {
  const { bytes, view } = memory;
  bytes.fill(0, at, at + ANSWER_SIZE);
  view.setUint32(at, ANSWER_MAGIC, true);
  view.setUint16(at + 4, VERSION, true);
  view.setUint16(at + 6, answer.status, true);
  writeId(bytes, at + 8, answer.clusterId);
  view.setInt32(at + 24, answer.nodeId, true);
  writeId(bytes, at + 28, answer.incarnation);
  view.setUint16(at + 44, answer.shardCount, true);
  view.setUint32(at + 48, answer.logicalVersion, true);
  view.setUint32(at + 52, answer.frameSizeMax, true);
  view.setUint32(at + 56, answer.process, true);
  view.setUint32(at + ANSWER_SIZE - 4, crc32c(at, ANSWER_SIZE - 4, 0), true);
}

/** Reads the answer at `at`: "version" when it is of another version, null when it is none. */
export function readAnswer(memory: Memory, at: number, crc32c: Crc32c): Answer | "version" | null {
  const { bytes, view } = memory;
  if (view.getUint32(at, true) !== ANSWER_MAGIC) return null;
  if (view.getUint16(at + 4, true) !== VERSION) return "version";
  const crc = crc32c(at, ANSWER_SIZE - 4, 0);
  if (view.getUint32(at + ANSWER_SIZE - 4, true) !== crc) return null;
  const status = view.getUint16(at + 6, true);
  const nodeId = view.getInt32(at + 24, true);
  const shardCount = view.getUint16(at + 44, true);
  if (status > GreetingStatus.VERSION || nodeId < 0) return null;
  if (shardCount === 0 || shardCount > SHARDS_MAX) return null;
  return {
    status: status as GreetingStatus,
    clusterId: readId(bytes, at + 8),
    nodeId,
    incarnation: readId(bytes, at + 28),
    process: view.getUint32(at + 56, true),
    shardCount,
    logicalVersion: view.getUint32(at + 48, true),
    frameSizeMax: view.getUint32(at + 52, true),
  };
}

/** What node `self` answers to a preamble. */
export function judgePreamble(preamble: Preamble, self: NodeIdentity): GreetingStatus {
  if (preamble.nodeId === self.nodeId) {
    const isSelf = preamble.incarnation === self.incarnation && preamble.process === self.process;
    // Where only the process is another one, the data directory was copied.
    return isSelf ? GreetingStatus.SELF : GreetingStatus.SAME_ID;
  }
  if (areOfOtherClusters(preamble.clusterId, self.clusterId)) return GreetingStatus.OTHER_CLUSTER;
  if (preamble.targetNode >= 0 && preamble.targetNode !== self.nodeId) {
    return GreetingStatus.OTHER_NODE;
  }
  return preamble.targetShard < self.shardCount ? GreetingStatus.OK : GreetingStatus.NO_SUCH_SHARD;
}

/**
 * What node `self` makes of an answer: its status, or a reason to leave that the other node cannot know.
 *
 * @param targetNode who was to answer; -1: anybody
 */
export function judgeAnswer(
  answer: Answer,
  targetNode: number,
  self: NodeIdentity,
): GreetingStatus {
  if (answer.status !== GreetingStatus.OK) return answer.status;
  if (targetNode >= 0 && answer.nodeId !== targetNode) return GreetingStatus.OTHER_NODE;
  return areOfOtherClusters(answer.clusterId, self.clusterId)
    ? GreetingStatus.OTHER_CLUSTER
    : GreetingStatus.OK;
}

function areOfOtherClusters(a: string, b: string): boolean {
  return a !== b && a !== ZERO_ID && b !== ZERO_ID;
}

function writeId(bytes: Uint8Array, at: number, id: string): void {
  for (let i = 0; i < ID_SIZE; i++) bytes[at + i] = Number.parseInt(id.slice(2 * i, 2 * i + 2), 16);
}

function readId(bytes: Uint8Array, at: number): string {
  let id = "";
  for (let i = 0; i < ID_SIZE; i++) id += bytes[at + i]!.toString(16).padStart(2, "0");
  return id;
}
