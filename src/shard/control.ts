/**
 * The messages between the control thread and the shards: the steps of `start_sequence.ts`, and what happens
 * besides.
 *
 * ```text
 *   control                     shard 0                        other shards
 *   boot            →           ring, memory → booted          ring, memory → booted
 *   recover         →           recovery … progress* → recovered
 *   verify          →           after a disk error: every byte read … progress* → verified
 *   open            →           logs opened → opened           logs opened → opened
 *   join            →           in a cluster, metadata loaded, and with everybody … waiting* → joined
 *   lead            →           controller active, or following one; node registered → leading
 *   serve           →           logs of deleted topics go,     logs of deleted topics go → serving
 *                               room for a start kept → serving
 *   accept          →           accepts connections of clients
 *   acceptPeers     →           accepts connections of other nodes
 *   drain           →           nothing new, the open answered → drained
 *   stop            →           when all are: checkpoint → stopped
 *                               health, replicas: its storage or its replicas changed ...
 *   trouble         →           problems of the node, for clients that ask this shard
 *                               resolve: the address of a name is wanted ...
 *   resolved        →           its address
 *   collect         →           metrics: what is not recorded all the time, in parts … metrics*
 *   halt            →           the loop ends at once: another shard met a disk error
 * ```
 *
 * These are the only messages that pass through the runtime (`postMessage`); everything else between
 * shards goes through the mailboxes.
 *
 * @module
 */

import type { LogFields, LogLevel } from "../base/logger.ts";
import type { NamedLife } from "../cluster/lives.ts";
import type { ProgramFacts } from "../kafka/services.ts";
import type { Manifest } from "../storage/manifest.ts";
import type { Damage } from "../storage/shard_storage.ts";
import type {
  AdvertisedNode,
  Joined,
  Led,
  Opened,
  Recovered,
  VerifiedNode,
} from "./start_sequence.ts";
import type { MetricRows } from "./metric_rows.ts";
import type { ReplicaHealth } from "./replica_health.ts";
import type { StorageHealth } from "./storage_health.ts";

/** What a shard must know to come up. */
export interface Boot {
  readonly shard: number;
  readonly program: ProgramFacts;
  readonly shardCount: number;
  readonly nodeId: number;
  /** Where other nodes reach this one. */
  readonly rpcAddress: { readonly host: string; readonly port: number };
  /** Of the first nodes; empty: a cluster of one. */
  readonly seeds: readonly { readonly host: string; readonly port: number }[];
  /** Address of the mailboxes, zeroed. */
  readonly mailboxes: number;
  /** This shard's slice of the region. */
  readonly arenaBase: number;
  readonly arenaBytes: number;
  readonly dataDir: string;
  readonly idlePollUs: number;
  /** Logs that damage made read-only are writable again. */
  readonly acceptLoss: boolean;
  /** Lives that are given up if the metadata lost its majority; absent: none. */
  readonly recoversMetadata?: readonly NamedLife[];
  /** Segments and indexes that the shard keeps open. */
  readonly openFilesMax: number;
  /** Processor to run on, or -1 for any. */
  readonly processor: number;
  readonly settings: ReadonlyMap<string, string>;
  readonly seed: number;
  /** Of the data directory if it has none: 32 hexadecimal digits, the same for all shards. */
  readonly incarnation: string;
  /** Of this process, below 2^32. */
  readonly process: number;
  /** Connections with other nodes that the shard may have. */
  readonly linksMax: number;
  /** Where it records (`metrics/recorder.ts`). */
  readonly recorded: SharedArrayBuffer;
}

export type ToShard =
  | { readonly type: "boot"; readonly boot: Boot }
  | { readonly type: "recover" }
  | { readonly type: "verify"; readonly manifest: Manifest }
  | {
    readonly type: "open";
    readonly manifest: Manifest;
    /** What a verification found; given up where loss is accepted. */
    readonly damages: readonly Damage[];
  }
  | {
    readonly type: "join";
    readonly manifest: Manifest;
    readonly node: AdvertisedNode;
    /** Above the group id of every log that was opened. */
    readonly firstFreeGroupId: number;
  }
  | {
    readonly type: "lead";
    readonly node: AdvertisedNode;
    /** Above the group id of every log that was opened. */
    readonly firstFreeGroupId: number;
  }
  | {
    readonly type: "serve";
    readonly ballastBytes: number;
  }
  | {
    readonly type: "accept";
    readonly listener: number;
    /** Connections of all shards; further ones are closed at once. */
    readonly connectionsMax: number;
  }
  | { readonly type: "acceptPeers"; readonly listener: number }
  | {
    readonly type: "resolved";
    /** Of the question. */
    readonly id: number;
    /** Numeric; null: the name has none now. */
    readonly address: string | null;
  }
  | { readonly type: "drain" }
  | { readonly type: "stop" }
  | { readonly type: "halt" }
  /** Somebody asks for metrics. */
  | { readonly type: "collect"; readonly round: number }
  | {
    readonly type: "trouble";
    readonly diskFull: boolean;
    readonly damagedGroups: readonly number[];
    readonly readOnlyGroups: readonly number[];
  };

export type FromShard =
  | { readonly type: "booted" }
  | { readonly type: "progress"; readonly text: string }
  /** The start waits for other nodes; null: no longer. */
  | { readonly type: "waiting"; readonly why: string | null }
  | ({ readonly type: "recovered" } & Recovered)
  | ({ readonly type: "verified" } & VerifiedNode)
  | ({ readonly type: "opened" } & Opened)
  | ({ readonly type: "joined" } & Joined)
  | ({ readonly type: "leading" } & Led)
  | { readonly type: "serving" }
  | { readonly type: "health"; readonly health: StorageHealth }
  | { readonly type: "replicas"; readonly health: ReplicaHealth }
  | { readonly type: "resolve"; readonly id: number; readonly host: string }
  | {
    readonly type: "metrics";
    readonly round: number;
    readonly rows: MetricRows;
    /** Nothing more of this round follows. */
    readonly isLast: boolean;
  }
  | { readonly type: "drained" }
  | { readonly type: "stopped" }
  | {
    readonly type: "log";
    readonly level: LogLevel;
    readonly message: string;
    readonly fields: LogFields;
  }
  /** The process must end with this exit code. */
  | {
    readonly type: "fatal";
    readonly exitCode: number;
    readonly message: string;
    /** A write or a flush failed: the next start must read everything back. */
    readonly diskError: boolean;
  };
