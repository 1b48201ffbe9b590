/**
 * Group coordinators without partitions, for tests of handlers: one per shard, whose appends commit at
 * once.
 *
 * @module
 */

import { Xoshiro128 } from "../base/prng.ts";
import { DEFAULT_GROUP_CONFIG } from "../group/config.ts";
import { TestWorld } from "../group/consumer/test_world.ts";
import { GroupCoordinator } from "../group/coordinator.ts";
import type { GroupDirectory } from "../group/directory.ts";
import { groupPartition } from "../group/group_partition.ts";

export class TestGroups {
  readonly coordinators: GroupCoordinator[];
  /** As if another node led the offsets partitions. */
  elsewhere = false;
  /** Their node has lost the connections to a majority. */
  cutOff = false;

  constructor(shardCount: number) {
    this.coordinators = Array.from({ length: shardCount }, (_, shard) => createCoordinator(shard));
  }

  /** What handlers of a shard see. */
  directory(shard: number): GroupDirectory {
    const own = this.coordinators[shard]!;
    const shardOfGroup = (groupId: string) => groupPartition(groupId, this.coordinators.length);
    return {
      shardOfGroup,
      coordinatorFor: (groupId) => this.elsewhere || shardOfGroup(groupId) !== shard ? null : own,
      isInTouch: () => !this.cutOff,
      all: () => this.elsewhere ? [] : [own],
    };
  }

  /** Lets everything happen that is due at `nowMs`. */
  tick(nowMs: number): void {
    for (const coordinator of this.coordinators) coordinator.tick(nowMs, nowMs);
  }
}

function createCoordinator(seed: number): GroupCoordinator {
  const coordinator: GroupCoordinator = new GroupCoordinator({
    config: { ...DEFAULT_GROUP_CONFIG, initialRebalanceDelayMs: 0 },
    random: new Xoshiro128(seed),
    world: new TestWorld(),
    log: {
      append(records, done, producer) {
        for (const { key, value } of records) {
          if (producer) coordinator.replayPending(producer.producerId, key, value);
          else coordinator.replay(key, value);
        }
        done(0);
      },
    },
  });
  coordinator.loaded(0, 0);
  return coordinator;
}
