/**
 * Removes offsets that were not needed for `offsets.retention.minutes`, groups without offsets and members,
 * and what is deleted on request. All removals are tombstones.
 *
 * When the retention of an offset begins:
 *
 * | group | since |
 * | --- | --- |
 * | no member ever (simple consumers) | the commit |
 * | empty | it became empty, as far as that is known; else the commit |
 * | consumers, stable | the commit, and only of topics that no member reads |
 * | of the new protocol | the commit, and only of topics that no member reads |
 * | anything else | never |
 *
 * An offset with an expiry of its own (OffsetCommit 2 to 4 with a retention) follows that instead.
 *
 * @module
 */

import { ErrorCode } from "../wire/errors.ts";
import type { ConsumerGroupKeeper } from "./consumer/keeper.ts";
import { Group, GroupState } from "./group.ts";
import type { GroupTable } from "./group_table.ts";
import { TOMBSTONES_PER_BATCH_MAX } from "./limits.ts";
import { type CommittedOffset, type GroupRecord, groupRecord, offsetRecord } from "./records.ts";

/** Appends tombstones for everything that has expired. */
export function expireOffsets(table: GroupTable, keeper: ConsumerGroupKeeper): void {
  for (const group of [...table.groups.values()]) {
    group.lingers = false;
    const records = expiredRecords(table, group);
    // What fails now expires again at the next check.
    if (records.length > 0) appendInBatches(table, group, records, () => {});
    endIfAbandoned(table, keeper, group);
    table.dropIfVoid(group);
  }
}

/** A group of the new protocol without members and offsets is no more. */
function endIfAbandoned(table: GroupTable, keeper: ConsumerGroupKeeper, group: Group): void {
  const { consumer, groupId } = group;
  const isAbandoned = (): boolean =>
    group.isEmpty && group.offsets.known(null).length === 0 &&
    table.pending.places((place) => place.groupId === groupId).length === 0;
  if (consumer === null || !isAbandoned()) return;
  keeper.add(group, consumer, (round) => {
    if (isAbandoned()) keeper.end(round);
  }, () => {});
}

/** Deletes a group without members; `done` gets the error of DeleteGroups. */
export function deleteGroup(
  table: GroupTable,
  keeper: ConsumerGroupKeeper,
  groupId: string,
  done: (errorCode: number) => void,
): void {
  const group = table.groups.get(groupId);
  if (group === undefined || group.state === GroupState.DEAD) {
    return done(ErrorCode.GROUP_ID_NOT_FOUND);
  }
  const { consumer } = group;
  if (consumer !== null) {
    // In its turn: what is on its way to the log comes first, a member perhaps.
    keeper.add(group, consumer, (round) => {
      const isEmpty = round.view.members.size === 0;
      if (!isEmpty) return round.whenWritten(() => done(ErrorCode.NON_EMPTY_GROUP));
      for (const record of offsetTombstones(table, group)) round.record(record);
      keeper.end(round);
      round.whenWritten(done);
    }, done);
    return;
  }
  if (group.state !== GroupState.EMPTY) return done(ErrorCode.NON_EMPTY_GROUP);
  const records = offsetTombstones(table, group);
  group.lingers = false;
  // Also when nothing is written yet: the record that says so may be on its way.
  records.push(groupRecord(groupId, null));
  appendInBatches(table, group, records, (errorCode) => {
    if (errorCode === ErrorCode.NONE) {
      // A member that got an id and returns with it finds no group, as in Kafka.
      for (const timer of group.pendingJoins.values()) table.cancel(timer);
      group.pendingJoins.clear();
    }
    done(errorCode);
  });
}

function offsetTombstones(table: GroupTable, { groupId, offsets }: Group): GroupRecord[] {
  const records = offsets.known(null).map((at) => offsetRecord({ groupId, ...at }, null));
  // The end of their transaction would bring the group back.
  const pending = table.pending.places((place) => place.groupId === groupId);
  for (const place of pending) records.push(offsetRecord(place, null));
  return records;
}

/** Forgets the offsets of topics that are gone, those in transactions too: a topic of that name that comes later is another one. */
export function forgetTopics(table: GroupTable, topics: readonly string[]): void {
  for (const place of table.pending.places(({ topic }) => topics.includes(topic))) {
    const group = table.groups.get(place.groupId) ?? new Group(place.groupId);
    appendInBatches(table, group, [offsetRecord(place, null)], () => {});
  }
  for (const group of [...table.groups.values()]) {
    const { groupId } = group;
    const records = topics.flatMap((topic) => group.offsets.known(topic)).map((at) =>
      offsetRecord({ groupId, ...at }, null)
    );
    if (records.length === 0) continue;
    group.lingers = true;
    appendInBatches(table, group, records, () => {});
  }
}

function expiredRecords(table: GroupTable, group: Group): GroupRecord[] {
  const { groupId } = group;
  const records: GroupRecord[] = [];
  let left = 0;
  for (const { topic, partition } of group.offsets.known(null)) {
    const value = group.offsets.get(topic, partition);
    const keeps = value === null || group.offsets.hasInFlight(topic, partition) ||
      table.pending.has({ groupId, topic, partition }) ||
      !isExpired(table, group, topic, value);
    if (keeps) left++;
    else records.push(offsetRecord({ groupId, topic, partition }, null));
  }
  const isAbandoned = left === 0 && group.state === GroupState.EMPTY &&
    group.pendingJoins.size === 0 && group.appendsInFlight === 0;
  if (isAbandoned && group.metadata !== null) records.push(groupRecord(groupId, null));
  return records;
}

function isExpired(
  table: GroupTable,
  group: Group,
  topic: string,
  value: CommittedOffset,
): boolean {
  let sinceMs = value.commitTimestampMs;
  if (group.consumer !== null) {
    if (group.isSubscribedTo(topic)) return false;
  } else if (group.protocolType !== null) {
    if (group.state === GroupState.EMPTY) {
      if (group.stateTimestampMs >= 0) sinceMs = group.stateTimestampMs;
    } else if (
      group.state !== GroupState.STABLE || !group.isConsumerGroup || group.isSubscribedTo(topic)
    ) {
      return false;
    }
  } else if (group.state !== GroupState.EMPTY) {
    return false;
  }
  if (value.expireTimestampMs >= 0) return table.wallMs >= value.expireTimestampMs;
  return table.wallMs - sinceMs >= table.config.offsetsRetentionMs;
}

function appendInBatches(
  table: GroupTable,
  group: Group,
  records: readonly GroupRecord[],
  done: (errorCode: number) => void,
): void {
  let waiting = Math.ceil(records.length / TOMBSTONES_PER_BATCH_MAX);
  let firstError: number = ErrorCode.NONE;
  for (let at = 0; at < records.length; at += TOMBSTONES_PER_BATCH_MAX) {
    table.append(group, records.slice(at, at + TOMBSTONES_PER_BATCH_MAX), (errorCode) => {
      if (firstError === ErrorCode.NONE) firstError = errorCode;
      waiting--;
      if (waiting === 0) done(firstError);
    });
  }
}
