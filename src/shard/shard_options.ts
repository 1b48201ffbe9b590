/**
 * What a shard is made of and with: the seams, and settings of a node.
 *
 * @module
 */

import type { Logger } from "../base/logger.ts";
import type { Random } from "../base/prng.ts";
import type { Crc32c } from "../bytes/crc32c.ts";
import type { Memory } from "../bytes/memory.ts";
import type { VersionRange } from "../cluster/logical_version.ts";
import type { Clock } from "../io/clock.ts";
import type { Disk } from "../io/disk.ts";
import type { RecordCompactor } from "../io/record_compactor.ts";
import type { RecordWalk } from "../io/record_walk.ts";
import type { RegexEngine } from "../io/regexes.ts";
import type { Sockets } from "../io/sockets.ts";
import type { Timers } from "../io/timers.ts";
import type { ShardRecorder } from "../metrics/recorder.ts";
import type { SnapshotPolicy } from "../kafka/applied_log.ts";
import type { MakeReplica } from "../replication/replica.ts";
import type { ProgramFacts } from "../kafka/services.ts";
import { ZERO_UUID } from "../wire/uuid.ts";
import type { Mailboxes } from "./mailbox.ts";
import type { Peering } from "./node_links.ts";
import type { ShardMemory } from "./shard_memory.ts";

/** A coordinator's snapshot saves the reading of as much at the next start. */
export const COORDINATOR_SNAPSHOTS: SnapshotPolicy = {
  bytesMin: 256 * 1024,
  intervalMs: 1_000,
  restMs: 60_000,
};
/** Nothing is served without the metadata: when damage takes its log, the snapshot replaces it. */
export const METADATA_SNAPSHOTS: SnapshotPolicy = {
  bytesMin: 64 * 1024,
  intervalMs: 1_000,
  restMs: 5_000,
};

/** A node that no other one knows of. */
export const ALONE: Peering = {
  incarnation: ZERO_UUID,
  process: 0,
  incomingMax: 0,
  resolve: () => {},
};

/** A program that says nothing of itself. */
export const UNNAMED: ProgramFacts = { version: "", startedMs: -1 };

export interface ShardOptions {
  readonly nodeId: number;
  /** What is told of it where somebody asks. */
  readonly program?: ProgramFacts;
  /** The logical versions at which it works, as it says; those of this program when absent. */
  readonly versions?: VersionRange;
  readonly settings: ReadonlyMap<string, string>;
  readonly dataDir: string;
  readonly memory: Memory;
  readonly blocks: ShardMemory;
  readonly mailboxes: Mailboxes;
  readonly disk: Disk;
  readonly sockets: Sockets;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly crc32c: Crc32c;
  /** Opens a walk of batches in `memory`. */
  readonly openWalk: () => RecordWalk;
  /** Regular expressions of consumers. */
  readonly regexes: RegexEngine;
  /** Opens a compactor of batches in `memory`. */
  readonly openCompactor: () => RecordCompactor;
  readonly logger: Logger;
  /** Where metrics are recorded; one of the shard's own when absent. */
  readonly recorder?: ShardRecorder;
  /** Monotonic time of the present turn (ms). */
  readonly nowMs: () => number;
  /** The other end of a socket: `127.0.0.1:4711`. */
  readonly peerOf: (socket: number) => string;
  /** When states are written as snapshots; the usual policies when absent. */
  readonly snapshots?: SnapshotPolicy;
  /** Makes the replicas of this shard's groups; each is a group of one when absent. */
  readonly makeReplica?: MakeReplica;
  /** How other nodes see this one; where absent, it finds none by name. */
  readonly peering?: Peering;
  /** Rings another shard's doorbell. */
  readonly wake: (shard: number) => void;
}
