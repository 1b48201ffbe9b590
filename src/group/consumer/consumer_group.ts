/**
 * One consumer group in the coordinator: its written state, the state ahead of it, its timers, and its rounds.
 *
 * A *round* decides as many requests as have come, one after another, each on the state that the one before left. What
 * they change is appended as one batch, and they are answered when that is committed. What comes meanwhile waits for the
 * next round, so there is never more than one batch of a group on its way: what a batch was decided on is committed
 * before it. A batch that is refused takes nothing with it: the state ahead is made anew of what is written.
 *
 * @module
 */

import { Timer } from "../../io/timers.ts";
import { ErrorCode } from "../../wire/errors.ts";
import type { Group } from "../group.ts";
import { groupErrorOf, type GroupTable } from "../group_table.ts";
import { CONSUMER_REQUESTS_QUEUED_MAX, ROUND_SIZE_MAX } from "../limits.ts";
import type { GroupRecord } from "../records.ts";
import { changeRecord } from "./records.ts";
import { ConsumerGroupRecords, ConsumerGroupView } from "./state.ts";
import type { Change } from "./types.ts";

/** Decides one thing on the state ahead. */
export type Job = (round: Round) => void;

interface Queued {
  readonly job: Job;
  /** Answers a job that is never decided. */
  readonly refuse: (errorCode: number) => void;
}

export class ConsumerGroup {
  /** What is committed. */
  readonly written = new ConsumerGroupRecords();
  /** That, and what is on its way to the log. */
  ahead = new ConsumerGroupView();
  /** By member id: ends the session of a member that is not heard of. */
  readonly sessions = new Map<string, Timer>();
  /** By member id: ends the patience with a member that does not give up partitions. */
  readonly revocations = new Map<string, Timer>();
  readonly queue: Queued[] = [];
  isWriting = false;
  /** It was said that the group was formed, and not yet that it is empty. */
  announced = false;
  /** Of the topics that the metadata hash was made of; -1: it has to be looked at. */
  topicsVersion = -1;
  /** The same of the regular expressions. */
  regexVersion = -1;
  /** When they were last looked up because topics changed (monotonic ms). */
  regexAtMs = -Infinity;

  /** Nothing is written of it, or under way. */
  get isVoid(): boolean {
    return !this.isWriting && this.queue.length === 0 && this.written.isVoid && this.ahead.isVoid;
  }
}

/** What the jobs of one round decide. */
export class Round {
  readonly group: Group;
  readonly consumer: ConsumerGroup;
  readonly records: GroupRecord[] = [];
  /** The group is none of this kind after it: nothing more is decided. */
  isLast = false;
  readonly #answers: ((errorCode: number) => void)[] = [];
  #size = 0;

  constructor(group: Group, consumer: ConsumerGroup) {
    this.group = group;
    this.consumer = consumer;
  }

  get view(): ConsumerGroupView {
    return this.consumer.ahead;
  }

  /** Keys and values so far (bytes). */
  get size(): number {
    return this.#size;
  }

  /** Changes the state ahead, and writes that. */
  change(change: Change): void {
    this.view.apply(change);
    this.record(changeRecord(this.group.groupId, change));
  }

  /** Writes something that is not a part of the consumer group. */
  record(record: GroupRecord): void {
    this.records.push(record);
    this.#size += record.key.length + (record.value?.length ?? 0);
  }

  /** Calls `done` when all of the round is committed, or with the error of its refusal. */
  whenWritten(done: (errorCode: number) => void): void {
    this.#answers.push(done);
  }

  answer(errorCode: number): void {
    for (const done of this.#answers) done(errorCode);
  }
}

export class Rounds {
  readonly #table: GroupTable;
  /** Gives back timers to members after a round that was refused; ends all of a group. */
  readonly #restore: (group: Group, consumer: ConsumerGroup) => void;

  readonly #stop: (consumer: ConsumerGroup, errorCode: number) => void;

  constructor(
    table: GroupTable,
    restore: (group: Group, consumer: ConsumerGroup) => void,
    stop: (consumer: ConsumerGroup, errorCode: number) => void,
  ) {
    this.#table = table;
    this.#restore = restore;
    this.#stop = stop;
  }

  /**
   * Has `job` decided in the next round.
   *
   * @param refuse called instead when there are too many, or when the coordinator ends
   */
  add(group: Group, consumer: ConsumerGroup, job: Job, refuse: (errorCode: number) => void): void {
    if (consumer.queue.length >= CONSUMER_REQUESTS_QUEUED_MAX) {
      return refuse(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS);
    }
    consumer.queue.push({ job, refuse });
    this.#run(group, consumer);
  }

  #run(group: Group, consumer: ConsumerGroup): void {
    while (!consumer.isWriting && consumer.queue.length > 0) {
      const round = new Round(group, consumer);
      let taken = 0;
      while (taken < consumer.queue.length && round.size < ROUND_SIZE_MAX && !round.isLast) {
        consumer.queue[taken++]!.job(round);
      }
      consumer.queue.splice(0, taken);
      if (round.records.length === 0) this.#finish(round, ErrorCode.NONE);
      else this.#write(round);
    }
    if (consumer.isVoid && group.consumer === consumer) group.consumer = null;
    this.#table.dropIfVoid(group);
  }

  #write(round: Round): void {
    const { group, consumer } = round;
    consumer.isWriting = true;
    this.#table.append(group, round.records, (appendError) => {
      consumer.isWriting = false;
      if (appendError !== 0) this.#takeBack(group, consumer);
      this.#finish(round, groupErrorOf(appendError));
      this.#run(group, consumer);
    });
  }

  #finish(round: Round, errorCode: number): void {
    const { group, consumer } = round;
    if (round.isLast && errorCode === ErrorCode.NONE) {
      group.consumer = null;
      this.#stop(consumer, ErrorCode.COORDINATOR_LOAD_IN_PROGRESS);
    }
    round.answer(errorCode);
    if (!round.isLast) this.#announce(group, consumer);
  }

  #announce({ groupId }: Group, consumer: ConsumerGroup): void {
    const { members, epoch } = consumer.written;
    const isFormed = members.size > 0;
    if (isFormed === consumer.announced) return;
    consumer.announced = isFormed;
    // As of classic groups; an epoch is what a generation is there.
    const fields = { group: groupId, generation: epoch };
    if (isFormed) this.#table.onGroup("Group formed", { ...fields, members: members.size });
    else this.#table.onGroup("Group emptied", fields);
  }

  #takeBack(group: Group, consumer: ConsumerGroup): void {
    consumer.ahead = ConsumerGroupView.of(consumer.written);
    consumer.topicsVersion = -1;
    consumer.regexVersion = -1;
    this.#restore(group, consumer);
  }
}
