/**
 * A live group changes from one protocol to the other, without stopping (`group.consumer.migration.policy`).
 *
 * ```text
 *              a member of the new protocol joins
 *   classic ---------------------------------------> consumer group; its classic members stay, each with what it has
 *           <---------------------------------------
 *              the last member of the new protocol is gone, classic ones are left: they rebalance
 * ```
 *
 * Both are one batch of records: tombstones of the one, everything of the other. Until it is committed the group is
 * what it was; members that wait for a rebalance are told to begin again.
 *
 * @module
 */

import { ErrorCode } from "../../wire/errors.ts";
import { CONSUMER_PROTOCOL_TYPE, Group, GroupState } from "../group.ts";
import type { GroupTable } from "../group_table.ts";
import { Member, NO_BYTES } from "../member.ts";
import type { Rebalancer } from "../rebalance.ts";
import { groupRecord } from "../records.ts";
import type { Round } from "./consumer_group.ts";
import { embeddedVersion, readAssignment, readSubscription, writeAssignment } from "./embedded.ts";
import type { ConsumerGroupKeeper } from "./keeper.ts";
import { type Refusal, refusal } from "./refusal.ts";
import type { ConsumerGroupView } from "./state.ts";
import {
  type Assignment,
  type Current,
  type GroupTopics,
  type MemberInfo,
  MemberState,
  NO_PARTITIONS,
  type OwnedPartitions,
} from "./types.ts";

/** A classic member as one of a consumer group. */
interface Converted {
  readonly memberId: string;
  readonly info: MemberInfo;
  readonly assignment: Assignment;
}

export class Migration {
  readonly #table: GroupTable;
  readonly #keeper: ConsumerGroupKeeper;
  readonly #rebalancer: Rebalancer;

  constructor(table: GroupTable, keeper: ConsumerGroupKeeper, rebalancer: Rebalancer) {
    this.#table = table;
    this.#keeper = keeper;
    this.#rebalancer = rebalancer;
    keeper.afterRemoval = (round) => this.downgradeIfClassic(round);
  }

  /** Why a classic group with members cannot be turned into a consumer group; null when it can. */
  upgradeProblem(group: Group): Refusal | null {
    const { canUpgrade, sizeMax } = this.#keeper.configOf(group);
    const refuse = (reason: string): Refusal =>
      refusal(
        ErrorCode.GROUP_ID_NOT_FOUND,
        `Cannot upgrade classic group ${group.groupId} to consumer group because ${reason}.`,
      );
    if (!canUpgrade) return refuse("the online upgrade is disabled");
    if (!group.isConsumerGroup) {
      return refuse("the group does not use the consumer embedded protocol");
    }
    if (group.members.size >= sizeMax) {
      return refuse("the group size exceeds the consumer group maximum size");
    }
    if (convertedOf(group, this.#table.world.topics) !== null) return null;
    return refuse("the embedded consumer protocol is malformed");
  }

  /** Writes the members of a classic group as those of a consumer group; call it in its first round. */
  upgrade(round: Round): void {
    const { group } = round;
    const { topics } = this.#table.world;
    // What was seen when the group was admitted cannot have become worse in the same entry.
    const members = convertedOf(group, topics) ?? [];
    const epoch = Math.max(group.generation, 1);
    this.#rebalancer.sendAway(group);
    round.record(groupRecord(group.groupId, null));
    for (const { memberId, info } of members) {
      round.change({ kind: "member", memberId, value: info });
    }
    const creationTimeMs = this.#table.wallMs;
    const metadataHash = this.#keeper.subscriptions.hash(round);
    round.change({ kind: "groupEpoch", value: { epoch, metadataHash, creationTimeMs } });
    for (const { memberId, assignment } of members) {
      round.change({ kind: "target", memberId, value: assignment });
    }
    round.change({ kind: "targetEpoch", value: { epoch, timestampMs: 0 } });
    for (const { memberId, assignment } of members) {
      const value: Current = {
        epoch,
        previousEpoch: epoch,
        state: MemberState.STABLE,
        assigned: since(assignment, epoch),
        revoking: NO_PARTITIONS,
      };
      round.change({ kind: "current", memberId, value });
      this.#keeper.touch(group, round.consumer, memberId);
    }
    round.whenWritten((errorCode) => {
      if (errorCode === ErrorCode.NONE) group.forgetMembers();
      else this.#rebalancer.takeBack(group);
    });
  }

  /** A classic group without members ends where a consumer group begins; who got an id there is not awaited any more. */
  replaceEmpty(round: Round): void {
    const { group } = round;
    this.#rebalancer.sendAway(group);
    if (group.metadata !== null) round.record(groupRecord(group.groupId, null));
  }

  /** Turns a group into a classic one, if only classic members are left of it; call it after a member was removed. */
  downgradeIfClassic(round: Round): void {
    const { view, group } = round;
    const size = view.members.size;
    if (size === 0 || view.classicCount < size || !this.#keeper.configOf(group).canDowngrade) {
      return;
    }
    if (size > this.#table.config.groupSizeMax || !shareProtocol(view)) return;
    const classic = this.#classicOf(round);
    const assignments = new Map<string, Uint8Array>();
    for (const [memberId, { classic: terms }] of view.members) {
      const metadata = terms!.supportedProtocols[0]?.metadata ?? NO_BYTES;
      const target = view.targetOf(memberId);
      const version = embeddedVersion(metadata);
      assignments.set(memberId, writeAssignment(target, version, this.#table.world.topics));
    }
    this.#keeper.end(round);
    const metadata = classic.metadataWith(assignments, NO_BYTES);
    round.record(groupRecord(group.groupId, metadata));
    round.isLast = true;
    round.whenWritten((errorCode) => {
      if (errorCode !== ErrorCode.NONE) return;
      group.become(classic);
      for (const member of group.members.values()) {
        member.assignment = assignments.get(member.id) ?? NO_BYTES;
        this.#rebalancer.touch(group, member);
      }
      this.#rebalancer.rebalance(group);
    });
  }

  /** The members that are left, as a classic group. */
  #classicOf({ view, group }: Round): Group {
    const classic = new Group(group.groupId);
    for (const [memberId, info] of view.members) {
      const { instanceId, clientId, clientHost, rebalanceTimeoutMs } = info;
      const terms = info.classic!;
      const { sessionTimeoutMs } = terms;
      const member = new Member({ id: memberId, instanceId, clientId, clientHost }, {
        // As where a classic group is read from the log: without a time of its own, the session's.
        rebalanceTimeoutMs: rebalanceTimeoutMs > 0 ? rebalanceTimeoutMs : sessionTimeoutMs,
        sessionTimeoutMs,
        protocols: terms.supportedProtocols,
      });
      member.isNew = false;
      classic.add(member, CONSUMER_PROTOCOL_TYPE);
    }
    // What they know: with their next heartbeats they learn that they have to join, and lose nothing.
    const epochs = [...view.members.keys()].map((memberId) => view.currentOf(memberId).epoch);
    classic.generation = epochs.reduce((most, epoch) => Math.max(most, epoch), 0);
    classic.protocolName = classic.selectProtocol();
    classic.transitionTo(GroupState.STABLE, this.#table.wallMs);
    return classic;
  }
}

function since(assignment: Assignment, epoch: number): OwnedPartitions {
  return new Map(
    [...assignment].map(([topicId, list]) => [topicId, new Map(list.map((p) => [p, epoch]))]),
  );
}

/** Members that came one by one share a protocol; a log may say something else. */
function shareProtocol({ members }: ConsumerGroupView): boolean {
  const all = [...members.values()].map(({ classic }) => classic!.supportedProtocols);
  return all[0]!.some(({ name }) =>
    all.every((protocols) => protocols.some((protocol) => protocol.name === name))
  );
}

/** The members of a classic group, with what each has; null when that cannot be read. */
function convertedOf(group: Group, topics: GroupTopics): Converted[] | null {
  const result: Converted[] = [];
  const taken = new Set<string>();
  for (const member of group.members.values()) {
    const subscription = readSubscription(member.metadataFor(group.protocolName));
    const assignment = readAssignment(member.assignment, topics);
    if (subscription === null || assignment === null) return null;
    for (const [topicId, partitions] of assignment) {
      // An assignor of a client's own may have given one to two: then nobody knows whose it is.
      if (partitions.some((partition) => taken.has(`${topicId}/${partition}`))) return null;
      for (const partition of partitions) taken.add(`${topicId}/${partition}`);
    }
    const info = classicInfo(member, subscription.topics, subscription.rackId);
    result.push({ memberId: member.id, info, assignment });
  }
  return result;
}

function classicInfo(
  member: Member,
  topics: readonly string[],
  rackId: string | null,
): MemberInfo {
  return {
    instanceId: member.instanceId,
    rackId,
    clientId: member.clientId,
    clientHost: member.clientHost,
    topicNames: [...new Set(topics)].sort(),
    topicRegex: null,
    rebalanceTimeoutMs: member.rebalanceTimeoutMs,
    serverAssignor: null,
    classic: {
      sessionTimeoutMs: member.sessionTimeoutMs,
      supportedProtocols: member.protocols,
    },
  };
}
