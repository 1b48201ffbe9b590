/**
 * Logical versions: what the nodes of a cluster can rely on from each other.
 *
 * A program is able to do everything up to its own version. The cluster works at one version, the *finalized* level of the
 * feature {@linkcode VERSION_FEATURE}, which is in the metadata. It only rises, and only to what every registered node is
 * able to do; a node that is not able to do it is refused from then on. A cluster of several programs therefore does
 * nothing that one of its nodes could not follow.
 *
 * | Version | What it brought |
 * | ---: | --- |
 * | 1 | several nodes |
 * | 2 | metadata records PartitionChange and NodeState |
 * | 3 | more than 15 learners in the configuration of a group: clusters of more than 20 nodes; frames REFILL_ASK and REFILL, call REPLICA_LOST |
 * | 4 | transactions: state of producers with aborted transactions; calls of AddPartitionsToTxn and WriteTxnMarkers |
 * | 5 | consumer groups of KIP-848: their records in `__consumer_offsets`, configurations of groups |
 * | 6 | replicated logs are compacted: a follower takes the rest of a batch without records of which it has a part |
 *
 * Whatever another node would refuse (a new record, frame, or field that must not be skipped) gets a version of its own here,
 * and is written when `ClusterImage.logicalVersion` has reached it.
 *
 * @module
 */

/** The feature whose level is the logical version of the cluster. */
export const VERSION_FEATURE = "gregor.version";

/** The versions at which a program can work, both included. */
export interface VersionRange {
  readonly min: number;
  readonly max: number;
}

/** This program. The least one rises when what only older programs did is taken out. */
export const OWN_VERSIONS: VersionRange = { min: 1, max: 6 };

/** Records PARTITION_CHANGE and NODE_STATE. */
export const CHANGES_SINCE_VERSION = 2;
/** More learners of a group than {@linkcode FEW_LEARNERS_MAX}. */
export const MANY_LEARNERS_SINCE_VERSION = 3;
/** What programs before that take. */
export const FEW_LEARNERS_MAX = 15;
/** Frames by which a replica asks another one for records that it cannot read, and a call that says that it lost its log. */
export const REFILLS_SINCE_VERSION = 3;
/** Transactions: what their coordinators and their partitions' leaders ask each other, and what logs keep of them. */
export const TRANSACTIONS_SINCE_VERSION = 4;

/** Groups whose coordinator assigns: what it writes of them, and configurations of groups. */
export const CONSUMER_GROUPS_SINCE_VERSION = 5;

/** Compaction of logs with several replicas: a leader may have one batch without records where a follower has several batches. */
export const COMPACTED_REPLICAS_SINCE_VERSION = 6;

/** Why a program cannot be a node of a cluster at a finalized version (0: none is yet); null: it can. */
export function versionProblem(version: number, { min, max }: VersionRange): string | null {
  if (max < version) {
    return `the cluster works at logical version ${version} (${VERSION_FEATURE}), and this program is able to work at ` +
      `${max} at most: start the newer version of Gregor that the other nodes have`;
  }
  if (version === 0 || min <= version) return null;
  return `the cluster works at logical version ${version} (${VERSION_FEATURE}), and this program needs ${min} at least: ` +
    "start a version in between, on every node, first";
}
