/**
 * Shards of earlier runs that are kept because a device withheld a file of them, and how they are recovered when it
 * gives the file back.
 *
 * A start that misses such a file goes on: the groups that may have lost records with it are suspect, so that nothing
 * is added to them, and the whole shard (journal and checkpoints) stays as it was, named by the manifest. Every later
 * start reads it again. Once nothing of it is missing, the start brings these groups, and no others, to the
 * state of that shard: as if it were the start that was cut off, because their segments hold what that start
 * wrote, and nothing else.
 *
 * @module
 */

import { ENOMEM } from "../io/errno.ts";
import type { Task } from "../io/task.ts";
import type { KeptShard } from "./manifest.ts";
import { type OldShard, OldShards, type RecoveryBuffer } from "./recovery_shards.ts";
import type { RecoveryStore } from "./recovery_store.ts";
import { forsakenShard, keptShard, returnedShard } from "./recovery_words.ts";
import type { Damage, StorageContext } from "./shard_storage.ts";

/** The shards of the last run that are kept from now on: a file of them is withheld, and groups miss records. */
export function shardsToKeep(
  { shards, logs }: OldShards,
  mountEpoch: number,
  onDamage: (damage: Damage) => void,
): KeptShard[] {
  const groups = shards.map((): number[] => []);
  for (const { suspect, groupId } of logs.values()) {
    if (suspect) groups[groupId % shards.length]!.push(groupId);
  }
  const kept: KeptShard[] = [];
  for (const [index, { manifest, withheld }] of shards.entries()) {
    if (withheld === null || groups[index]!.length === 0) continue;
    const shard: KeptShard = { ...manifest, mountEpoch, groups: groups[index]! };
    onDamage(keptShard(shard, withheld));
    kept.push(shard);
  }
  return kept;
}

export interface KeptOptions {
  readonly store: RecoveryStore;
  readonly context: StorageContext;
  readonly buffer: RecoveryBuffer;
  /** Oldest first. */
  readonly kept: readonly KeptShard[];
  /** Those that this start adds: newer than all. */
  readonly added: readonly KeptShard[];
  /** The node as it is without them; logs that are recovered are replaced. */
  readonly node: OldShards;
  /** What is still withheld is given up. */
  readonly acceptLoss: boolean;
  readonly onProgress: (stage: string, done: number) => void;
}

/** What became of kept shards. */
export interface KeptOutcome {
  /** Those that are still to be kept. */
  readonly kept: readonly KeptShard[];
  /** Records that were replayed. */
  readonly replayed: number;
}

/**
 * Recovers the kept shards that can be read now; a negative errno when writing failed.
 *
 * Newest first: a group that a newer one may have records of waits for that one, which shows whether it got any
 * after the older one.
 */
export function* recoverKept(options: KeptOptions): Task<KeptOutcome | number> {
  const { context, node } = options;
  const kept: KeptShard[] = [...options.added];
  const waiting = new Set(options.added.flatMap(({ groups }) => groups));
  const moved = new Set<number>();
  let replayed = 0;
  for (const shard of options.kept.toReversed()) {
    // The others were deleted, or their loss was accepted, and they went on.
    const groups = shard.groups.filter((groupId) => {
      const log = node.logs.get(groupId);
      return log !== undefined && node.isFrozen(log) && !moved.has(groupId);
    });
    if (groups.length === 0) continue;
    const free = new Set(groups.filter((groupId) => !waiting.has(groupId)));
    const result = yield* recoverShard(options, shard, free, moved);
    const isBack = typeof result === "number";
    if (isBack) {
      if (result < 0) return result;
      replayed += result;
      context.onDamage(returnedShard(shard, free.size));
    }
    const rest = isBack ? groups.filter((groupId) => !free.has(groupId)) : groups;
    if (rest.length === 0) continue;
    const left: KeptShard = { ...shard, groups: rest };
    if (options.acceptLoss) {
      context.onDamage(forsakenShard(left));
      continue;
    }
    context.onDamage(keptShard(left, isBack ? null : result.withheld));
    kept.unshift(left);
    for (const groupId of rest) waiting.add(groupId);
  }
  return { kept, replayed };
}

/**
 * Brings `groups` to the state of the shard; the number of replayed records, or the shard that still lacks something.
 *
 * @param moved gets the groups that had records in it
 */
function* recoverShard(
  options: KeptOptions,
  shard: KeptShard,
  groups: ReadonlySet<number>,
  moved: Set<number>,
): Task<OldShard | number> {
  const { store, context, buffer, node: { logs }, onProgress } = options;
  let isReplaying = false;
  const old = new OldShards({
    store,
    context,
    // Until it is whole there is nothing new to be said of it.
    onDamage: (damage) => {
      if (isReplaying) context.onDamage(damage);
    },
    buffer,
    mountEpoch: shard.mountEpoch,
    manifests: [shard],
    groups,
    onProgress,
  });
  yield* old.read();
  const surveyed = old.isWhole ? yield* old.survey() : 0;
  if (surveyed === -ENOMEM) return surveyed;
  if (surveyed < 0 || !old.isWhole) {
    yield* old.close();
    for (const log of old.logs.values()) log.producers.clear();
    return old.shards[0]!;
  }
  isReplaying = true;
  for (const groupId of groups) {
    for (const segment of logs.get(groupId)!.segmentList) store.closeSegment(segment);
  }
  const result = yield* old.replay();
  yield* old.close();
  if (result < 0) return result;
  for (const groupId of groups) {
    const current = logs.get(groupId)!;
    const log = old.logs.get(groupId);
    if (log !== undefined && log.incarnation < current.incarnation) continue;
    current.producers.clear();
    if (log === undefined) logs.delete(groupId);
    else {
      logs.set(groupId, log);
      if (!old.isFrozen(log)) moved.add(groupId);
    }
  }
  return old.replayed;
}
