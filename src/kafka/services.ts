/**
 * What a handler may use of its shard: built once per shard in `src/shard/shard.ts`.
 *
 * Every field is an interface of the part that owns it, so that handlers can be tested with a few
 * plain objects.
 *
 * @module
 */

import type { ControllerService } from "../cluster/controller_service.ts";
import type { ClusterImage, PartitionImage } from "../cluster/image.ts";
import type { LeaderTable } from "../cluster/leaders.ts";
import type { LiveNodes } from "../cluster/live_nodes.ts";
import type { VersionRange } from "../cluster/logical_version.ts";
import type { GroupDirectory } from "../group/directory.ts";
import type { RegexEngine } from "../io/regexes.ts";
import type { Task } from "../io/task.ts";
import type { Member } from "../raft/configuration.ts";
import type { Api } from "../wire/api.ts";
import type { ErrorCode } from "../wire/errors.ts";
import type { TransactionDirectory } from "../txn/directory.ts";
import type { MarkerWriter } from "./marker_writer.ts";
import type { PartitionDirectory } from "./partition.ts";
import type { TransactionQuestion } from "./transaction_guard.ts";

/** Where the node keeps its data, for those who report on it. */
export interface DataDirectory {
  /** Absolute path. */
  readonly path: string;
  /** Bytes free for the broker, and in all. */
  freeBytes(): number;
  totalBytes(): number;
}

/** What of this node's storage cannot serve at the moment. */
export interface StorageTrouble {
  /** Appends are refused for want of room. */
  readonly diskFull: boolean;
  /** Groups with records that cannot be read, or that cannot be written. */
  readonly damagedGroups: ReadonlySet<number>;
  /** Those of them that cannot be written. */
  readonly readOnlyGroups: ReadonlySet<number>;
}

/** This process, for people. */
export interface ProgramFacts {
  readonly version: string;
  /** When it was started (ms since the epoch); -1: not known. */
  readonly startedMs: number;
}

export interface Services {
  /** This shard's index. */
  readonly shard: number;
  readonly shardCount: number;
  readonly nodeId: number;
  /** At which this program can work. */
  readonly versions: VersionRange;

  /** The cluster's metadata, as far as this shard has replayed it. */
  readonly image: ClusterImage;
  /** Who leads which partition. */
  readonly leaders: LeaderTable;
  /** Which nodes can be reached. */
  readonly live: LiveNodes;
  readonly program: ProgramFacts;
  /** The controller, where this node is it; only on its shard. */
  readonly controller: ControllerService | null;
  /** Damage may have taken commands from the metadata log: it is served as it is, and takes no more. */
  readonly metadataReadOnly: boolean;
  /** The partitions that this shard owns. */
  readonly partitions: PartitionDirectory;
  /** The coordinators of consumer groups. */
  readonly groups: GroupDirectory;
  /** The coordinators of transactions. */
  readonly transactions: TransactionDirectory;
  /** Regular expressions that clients bring. */
  readonly regexes: RegexEngine;
  /** Appends markers to this shard's partitions. */
  readonly markers: MarkerWriter;
  /**
   * Whether a partition of this shard may take records of a producer's transaction: its coordinator is asked. NONE counts
   * in the turn in which it is given.
   */
  admitToTransaction(question: TransactionQuestion, term: number): Task<ErrorCode>;
  readonly dataDirectory: DataDirectory;
  /** The same on every shard. */
  readonly trouble: StorageTrouble;

  /**
   * The metadata lost its majority for good: this node goes on with its copy, alone. On the controller's shard.
   *
   * @returns null: it begins to lead; else nothing has changed, for this reason
   */
  recoverMetadata(): Task<string | null>;
  /** Whether a member of the metadata's group can be reached, in the life in which it is one. On the controller's shard. */
  isMetadataMemberThere(member: Member): boolean;

  /** Ends with the next turn: what takes long leaves the others their turns. */
  nextTurn(): Task<void>;

  /**
   * Has another replica lead a partition of a group that belongs to this shard, wherever it is led.
   *
   * @returns NONE when it does; PREFERRED_LEADER_NOT_AVAILABLE where it does not keep up; REQUEST_TIMED_OUT
   */
  moveLeader(partition: PartitionImage, target: number, waitMs: number): Task<ErrorCode>;

  /** The shard that owns a Raft group. */
  shardOfGroup(groupId: number): number;

  /**
   * Runs an API where its route says, as if a client had asked this node: how a handler asks another
   * shard (auto topic creation from Metadata, internal topics from FindCoordinator). Null: the request or
   * its answer is too large to travel.
   */
  call<Request, Response>(
    api: Api<Request, Response>,
    version: number,
    request: Request,
  ): Task<Response | null>;
}
