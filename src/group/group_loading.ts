/**
 * Rebuilds a group from its written state, when a coordinator takes over.
 *
 * A group with members is stable in its written generation, whatever its phase was when its last
 * coordinator ended: members in a rebalance find out with their next request. The session of every member
 * begins again.
 *
 * @module
 */

import type { ConsumerGroupKeeper } from "./consumer/keeper.ts";
import type { GroupTable } from "./group_table.ts";
import { type Group, GroupState } from "./group.ts";
import { Member } from "./member.ts";
import type { Rebalancer } from "./rebalance.ts";
import { subscribedTopicsOf } from "./subscription.ts";

/** Brings every group that was replayed to life. */
export function startGroups(
  table: GroupTable,
  rebalancer: Rebalancer,
  keeper: ConsumerGroupKeeper,
): void {
  for (const group of [...table.groups.values()]) {
    if (group.consumer !== null) {
      keeper.start(group, group.consumer);
      continue;
    }
    restore(group);
    for (const member of group.members.values()) rebalancer.touch(group, member);
    if (group.members.size > table.config.groupSizeMax) rebalancer.rebalance(group);
    table.dropIfVoid(group);
  }
}

function restore(group: Group): void {
  const metadata = group.metadata;
  if (metadata === null) return;
  group.generation = metadata.generation;
  group.protocolName = metadata.protocol;
  const protocolName = metadata.protocol ?? "";
  for (const written of metadata.members) {
    const member = new Member({
      id: written.memberId,
      instanceId: written.groupInstanceId,
      clientId: written.clientId,
      clientHost: written.clientHost,
    }, {
      // Version 0 of the record has no rebalance timeout; Kafka takes the session's.
      rebalanceTimeoutMs: written.rebalanceTimeout > 0
        ? written.rebalanceTimeout
        : written.sessionTimeout,
      sessionTimeoutMs: written.sessionTimeout,
      protocols: [{ name: protocolName, metadata: written.subscription }],
    });
    member.isNew = false;
    member.assignment = written.assignment;
    group.add(member, metadata.protocolType);
  }
  group.protocolType = metadata.protocolType === "" ? null : metadata.protocolType;
  if (metadata.leader !== null && group.members.has(metadata.leader)) {
    group.leaderId = metadata.leader;
  }
  group.state = group.members.size > 0 ? GroupState.STABLE : GroupState.EMPTY;
  group.previousState = group.state;
  group.announced = group.members.size > 0;
  group.stateTimestampMs = metadata.currentStateTimestamp;
  group.subscribedTopics = subscribedTopicsOf(group);
}
