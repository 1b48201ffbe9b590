/**
 * Replicas whose log is of no use to their partition any more: damage has cut it, so that it may lack what this node
 * acknowledged, and neither votes nor acknowledges; or it has to be cut where it is damaged, and no other node has that part,
 * because not all of it was committed; or the partition was made to go on without some of its entries.
 *
 * The others have what it has, as long as they have elected a leader, and a majority keeps up with it: the controller is asked
 * to make this node another member of the partition. Then its log is deleted, and the leader fills the new one as it fills any learner; it votes when it
 * has everything. Where nobody leads, what the log has may be needed, and a person decides (`gregor partition recover`).
 *
 * @module
 */

import type { EventLog } from "../base/event_log.ts";
import { LogLevel } from "../base/logger.ts";
import type { PartitionImage } from "../cluster/partition_image.ts";
import { CONTROLLER_GROUP_ID } from "../cluster/records.ts";
import { Timer, type Timers } from "../io/timers.ts";
import type { ReplicaLost } from "../kafka/node_apis.ts";
import type { Partition } from "../kafka/partition.ts";

/** Between two looks; a leader is one that is heard for so long (ms). */
const LOOK_MS = 2_000;
/** What can be mended, or read after all, is by then (ms). */
const UNCUT_MS_MIN = 10_000;
/** With fewer replicas, or nodes, there is no majority without this one. */
export const REPLICAS_MIN = 3;

export interface LostReplicasOptions {
  readonly nodeId: number;
  readonly timers: Timers;
  readonly nowMs: () => number;
  readonly events: EventLog;
  /** The partitions of this shard; none as long as the image may be older than this start. */
  readonly partitions: () => Iterable<Partition>;
  /** For how long a group's log has had to be cut where it cannot be read (ms). */
  readonly uncutForMs: (groupId: number) => number;
  /** The replicas of a partition that keep up with its leader, as it last said. */
  readonly inSyncOf: (partition: PartitionImage) => readonly number[];
  /** Asks the controller. */
  readonly tell: (lost: ReplicaLost) => void;
}

export class LostReplicas {
  readonly #options: LostReplicasOptions;
  readonly #timer = new Timer(() => this.#look());
  /** Who led a group with such a replica at the last look. */
  #leaders = new Map<number, number>();

  constructor(options: LostReplicasOptions) {
    this.#options = options;
    this.#schedule();
  }

  stop(): void {
    this.#options.timers.cancel(this.#timer);
  }

  #look(): void {
    const { nodeId, events, partitions, tell, uncutForMs, inSyncOf } = this.#options;
    const before = this.#leaders;
    this.#leaders = new Map();
    for (const partition of partitions()) {
      const { image, log, replica: { leaderId, overruled } } = partition;
      if (image.groupId === CONTROLLER_GROUP_ID) continue;
      if (image.holders.length < REPLICAS_MIN || image.isChanging) continue;
      const isUseless = log.suspect || overruled;
      if (!isUseless && uncutForMs(image.groupId) < UNCUT_MS_MIN) continue;
      if (leaderId < 0 || leaderId === nodeId) continue;
      // Until then it may be the only copy of what the others are still to get, but for the leader's.
      const others = inSyncOf(image).filter((node) => node !== nodeId);
      if (others.length <= image.holders.length / 2) continue;
      this.#leaders.set(image.groupId, leaderId);
      if (before.get(image.groupId) !== leaderId) continue;
      const since = image.holderOf(nodeId)?.since;
      if (since === undefined) continue;
      const kind = overruled ? "log that its partition went on without" : "damaged log";
      const what =
        `A ${kind} is of no use to its partition: it is given up, and filled again by the leader`;
      events.note(what, { log: log.directory, leader: leaderId }, LogLevel.WARN);
      tell({ groupId: image.groupId, nodeId, since });
    }
    this.#schedule();
  }

  #schedule(): void {
    const { timers, nowMs } = this.#options;
    timers.schedule(this.#timer, nowMs() + LOOK_MS);
  }
}
