/**
 * What happens to a consumer group and its members whichever protocol they speak: they come and go, epochs rise, target
 * assignments are made, members go towards them, sessions and patience end.
 *
 * @module
 */

import { Timer } from "../../io/timers.ts";
import type { Group } from "../group.ts";
import type { GroupTable } from "../group_table.ts";
import { ASSIGNORS, DEFAULT_ASSIGNOR } from "./assignor.ts";
import type { ConsumerGroupConfig } from "./config.ts";
import { type ConsumerGroup, type Job, type Round, Rounds } from "./consumer_group.ts";
import { reconcile } from "./reconcile.ts";
import { ConsumerGroupView } from "./state.ts";
import { Subscriptions } from "./subscriptions.ts";
import {
  type Assignment,
  type Current,
  MemberState,
  NO_PARTITIONS,
  sameAssignment,
  type TopicFacts,
} from "./types.ts";

export class ConsumerGroupKeeper {
  readonly subscriptions: Subscriptions;
  /** Looks at the group after members were removed; see `migration.ts`. */
  afterRemoval: (round: Round) => void = () => {};
  readonly #table: GroupTable;
  readonly #rounds: Rounds;

  constructor(table: GroupTable) {
    this.#table = table;
    this.subscriptions = new Subscriptions(table);
    this.#rounds = new Rounds(
      table,
      (group, consumer) => this.#setTimers(group, consumer),
      (consumer, errorCode) => this.stop(consumer, errorCode),
    );
  }

  configOf(group: Group): ConsumerGroupConfig {
    return this.#table.world.configOf(group.groupId);
  }

  /** Has `job` decided in the group's next round; see {@linkcode Rounds.add}. */
  add(group: Group, consumer: ConsumerGroup, job: Job, refuse: (errorCode: number) => void): void {
    this.#rounds.add(group, consumer, job, refuse);
  }

  /** Everything is replayed: the group begins to live, and every session begins again. */
  start(group: Group, consumer: ConsumerGroup): void {
    consumer.ahead = ConsumerGroupView.of(consumer.written);
    consumer.announced = consumer.written.members.size > 0;
    this.#setTimers(group, consumer);
  }

  /** The coordinator ends, or the group is none of this kind any more. */
  stop(consumer: ConsumerGroup, errorCode: number): void {
    for (const timer of consumer.sessions.values()) this.#table.cancel(timer);
    for (const timer of consumer.revocations.values()) this.#table.cancel(timer);
    for (const { refuse } of consumer.queue.splice(0)) refuse(errorCode);
  }

  /** The group epoch rises, when `isAsked`, or when the topics changed that members read. */
  raiseEpoch(round: Round, isAsked: boolean): void {
    const hash = this.subscriptions.changedHash(round, isAsked);
    if (isAsked || hash !== null) this.#setEpoch(round, hash);
  }

  /** Makes a new target assignment, when there is need and it is time. */
  assign(round: Round): void {
    const { view, consumer, group } = round;
    if (view.epoch <= view.targetEpoch.epoch) return;
    const { wallMs } = this.#table;
    const { timestampMs } = view.targetEpoch;
    // A clock that was set back does not stop assignments.
    const sinceMs = wallMs - timestampMs;
    const isEarly = timestampMs > 0 && sinceMs >= 0 &&
      sinceMs < this.configOf(group).assignmentIntervalMs;
    if (isEarly) return;
    const topics = new Map<string, TopicFacts>();
    const members = [...view.members].map(([memberId, info]) => {
      const read = this.subscriptions.topicsOf(consumer, info);
      for (const topic of read) topics.set(topic.id, topic);
      const { instanceId, rackId } = info;
      const topicIds = new Set(read.map(({ id }) => id));
      return { memberId, instanceId, rackId, topicIds, previous: view.targetOf(memberId) };
    });
    for (const [memberId, value] of ASSIGNORS.get(assignorOf(view))!({ members, topics })) {
      if (view.targets.has(memberId) && sameAssignment(value, view.targetOf(memberId))) continue;
      round.change({ kind: "target", memberId, value });
    }
    round.change({ kind: "targetEpoch", value: { epoch: view.epoch, timestampMs: wallMs } });
  }

  /**
   * Lets a member go as far towards its target as it can.
   *
   * @param owned what it says that it has; null: it says nothing
   */
  advance(
    round: Round,
    memberId: string,
    isResubscribed: boolean,
    owned: Assignment | null,
  ): Current {
    const { view, consumer } = round;
    const info = view.members.get(memberId)!;
    const former = view.currentOf(memberId);
    const current = reconcile(former, {
      targetEpoch: view.targetEpoch.epoch,
      target: view.targetOf(memberId),
      subscribed: new Set(this.subscriptions.topicsOf(consumer, info).map(({ id }) => id)),
      isResubscribed,
      owned,
      isFree: (topicId, partition) => view.ownerOf(topicId, partition) === null,
    });
    if (current !== former || !view.currents.has(memberId)) {
      round.change({ kind: "current", memberId, value: current });
    }
    this.#awaitRevocation(round.group, consumer, memberId, former, current);
    return current;
  }

  /** A static member comes back as another process: it gets its predecessor's place. */
  replaceStatic(round: Round, formerId: string, memberId: string, epoch: number): void {
    const { view } = round;
    const member = view.members.get(formerId)!;
    const target = view.targets.get(formerId);
    const current = view.currentOf(formerId);
    // The regular expression stays: its successor has it.
    this.#forget(round, formerId);
    round.change({ kind: "member", memberId, value: member });
    if (target !== undefined) round.change({ kind: "target", memberId, value: target });
    const value = { ...current, epoch, previousEpoch: epoch, revoking: NO_PARTITIONS };
    round.change({ kind: "current", memberId, value });
  }

  /** A member goes: what it had is free, and the group makes do without it. */
  remove(round: Round, memberId: string): void {
    const regex = round.view.members.get(memberId)?.topicRegex ?? null;
    this.#forget(round, memberId);
    if (regex !== null) this.subscriptions.dropRegex(round, memberId, regex);
    this.#setEpoch(round, this.subscriptions.hash(round));
    if (round.view.members.size > 0) return;
    // There is nothing to assign.
    const value = { epoch: round.view.epoch, timestampMs: this.#table.wallMs };
    round.change({ kind: "targetEpoch", value });
  }

  /**
   * A classic member has to join or to sync within its rebalance timeout, or is removed.
   *
   * @param isAnew its time begins again, where it runs
   */
  awaitClassic(group: Group, consumer: ConsumerGroup, memberId: string, isAnew: boolean): void {
    if (!isAnew && consumer.revocations.get(memberId)?.scheduled === true) return;
    this.endPatience(consumer, memberId);
    const timer = new Timer(() =>
      this.#removeIf(group, consumer, memberId, () => consumer.revocations.get(memberId) === timer)
    );
    const timeoutMs = consumer.ahead.members.get(memberId)?.rebalanceTimeoutMs ?? 0;
    consumer.revocations.set(memberId, timer);
    this.#table.schedule(timer, Math.max(0, timeoutMs), timer.onFire);
  }

  /** The member did what was awaited. */
  endPatience(consumer: ConsumerGroup, memberId: string): void {
    this.#table.cancel(consumer.revocations.get(memberId) ?? null);
    consumer.revocations.delete(memberId);
  }

  /** Nothing is left of the group, which has no members. */
  end(round: Round): void {
    for (const change of [...round.view.tombstones()]) round.change(change);
  }

  /** A member was heard of: its session begins again. */
  touch(group: Group, consumer: ConsumerGroup, memberId: string): void {
    const classic = consumer.ahead.members.get(memberId)?.classic;
    const timeoutMs = classic?.sessionTimeoutMs ?? this.configOf(group).sessionTimeoutMs;
    const timer = consumer.sessions.get(memberId) ??
      new Timer(() => this.#expire(group, consumer, memberId, timer));
    consumer.sessions.set(memberId, timer);
    this.#table.schedule(timer, timeoutMs, timer.onFire);
  }

  #setEpoch(round: Round, hash: number | null): void {
    const { view } = round;
    const metadataHash = hash ?? view.group?.metadataHash ?? 0;
    const creationTimeMs = view.group?.creationTimeMs ?? this.#table.wallMs;
    const value = { epoch: view.epoch + 1, metadataHash, creationTimeMs };
    round.change({ kind: "groupEpoch", value });
  }

  #forget(round: Round, memberId: string): void {
    const { view, consumer } = round;
    if (view.currents.has(memberId)) round.change({ kind: "current", memberId, value: null });
    if (view.targets.has(memberId)) round.change({ kind: "target", memberId, value: null });
    round.change({ kind: "member", memberId, value: null });
    for (const timers of [consumer.sessions, consumer.revocations]) {
      this.#table.cancel(timers.get(memberId) ?? null);
      timers.delete(memberId);
    }
  }

  /** The session of a member is over, unless it was heard of before that is decided. */
  #expire(group: Group, consumer: ConsumerGroup, memberId: string, timer: Timer): void {
    this.#removeIf(group, consumer, memberId, () => !timer.scheduled);
  }

  #awaitRevocation(
    group: Group,
    consumer: ConsumerGroup,
    memberId: string,
    former: Current,
    current: Current,
  ): void {
    const info = consumer.ahead.members.get(memberId)!;
    const running = consumer.revocations.get(memberId) ?? null;
    if (current.state !== MemberState.UNREVOKED || info.classic !== null) {
      this.#table.cancel(running);
      consumer.revocations.delete(memberId);
    } else if (current !== former || running === null) {
      this.#table.cancel(running);
      const timer = new Timer(() =>
        this.#removeIf(
          group,
          consumer,
          memberId,
          (member) => member.state === MemberState.UNREVOKED && member.epoch === current.epoch,
        )
      );
      consumer.revocations.set(memberId, timer);
      this.#table.schedule(timer, Math.max(0, info.rebalanceTimeoutMs), timer.onFire);
    }
  }

  #removeIf(
    group: Group,
    consumer: ConsumerGroup,
    memberId: string,
    isDue: (current: Current) => boolean,
  ): void {
    const again = (): void => {
      // Nothing could be written: the member is looked at again after another session.
      if (consumer.ahead.members.has(memberId)) this.touch(group, consumer, memberId);
    };
    this.add(group, consumer, (round) => {
      const { view } = round;
      if (view.members.has(memberId) && isDue(view.currentOf(memberId))) {
        this.remove(round, memberId);
        this.afterRemoval(round);
      }
    }, again);
  }

  /** Timers of all members, as after a start. */
  #setTimers(group: Group, consumer: ConsumerGroup): void {
    const { ahead } = consumer;
    for (const timers of [consumer.sessions, consumer.revocations]) {
      for (const [memberId, timer] of [...timers]) {
        if (ahead.members.has(memberId)) continue;
        this.#table.cancel(timer);
        timers.delete(memberId);
      }
    }
    for (const memberId of ahead.members.keys()) {
      if (consumer.sessions.get(memberId)?.scheduled !== true) {
        this.touch(group, consumer, memberId);
      }
      const current = ahead.currentOf(memberId);
      if (consumer.revocations.get(memberId)?.scheduled === true) continue;
      this.#awaitRevocation(group, consumer, memberId, current, current);
    }
  }
}

/** The assignor that most members want; the default where none is wanted. */
export function assignorOf(view: Pick<ConsumerGroupView, "members">): string {
  const votes = new Map<string, number>();
  let chosen = DEFAULT_ASSIGNOR;
  for (const { serverAssignor } of view.members.values()) {
    // One that a later release wrote is not known here.
    if (serverAssignor === null || !ASSIGNORS.has(serverAssignor)) continue;
    const count = (votes.get(serverAssignor) ?? 0) + 1;
    votes.set(serverAssignor, count);
  }
  let most = 0;
  for (const [name, count] of votes) {
    if (count > most) {
      most = count;
      chosen = name;
    }
  }
  return chosen;
}
