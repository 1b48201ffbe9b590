/**
 * What goes on beside producing: offsets committed, records deleted, topics made and deleted, high
 * watermarks watched. Each checks on its own, all the time, that nothing acknowledged goes back.
 *
 * @module
 */

import type { Random } from "../../src/base/prng.ts";
import { ErrorCode, errorInfo } from "../../src/wire/errors.ts";
import {
  CREATE_TOPICS,
  DELETE_RECORDS,
  DELETE_TOPICS,
  FIND_COORDINATOR,
  INIT_PRODUCER_ID,
  OFFSET_COMMIT,
  OFFSET_FETCH,
} from "../../src/wire/generated/apis.ts";
import {
  newCreatableTopic,
  newCreatableTopicConfig,
  newCreateTopicsRequest,
} from "../../src/wire/generated/create_topics_request.ts";
import {
  newDeleteRecordsPartition,
  newDeleteRecordsRequest,
  newDeleteRecordsTopic,
} from "../../src/wire/generated/delete_records_request.ts";
import { newDeleteTopicsRequest } from "../../src/wire/generated/delete_topics_request.ts";
import { newFindCoordinatorRequest } from "../../src/wire/generated/find_coordinator_request.ts";
import { newInitProducerIdRequest } from "../../src/wire/generated/init_producer_id_request.ts";
import {
  newOffsetCommitRequest,
  newOffsetCommitRequestPartition,
  newOffsetCommitRequestTopic,
} from "../../src/wire/generated/offset_commit_request.ts";
import {
  newOffsetFetchRequest,
  newOffsetFetchRequestTopic,
} from "../../src/wire/generated/offset_fetch_request.ts";
import type { ProducerIdentity } from "../../src/cli/client/producer.ts";
import type { About } from "./brokers.ts";
import { Lane } from "./lane.ts";
import { Ledger, type Problems } from "./ledger.ts";
import { type Link, pause } from "./link.ts";
import { range, UNVERIFIED, verifyPartition } from "./verify.ts";

/** A kind of load: runs until it is stopped. */
export type SideLoad = (stopped: () => boolean) => Promise<void>;

/** The link for requests about something. */
export type LinkTo = (about: About) => Link;

const RETRY_MS = 20;
const TIMEOUT_MS = 20_000;
const OFFSET_COMMIT_NAMES = 7;
const OFFSET_FETCH_NAMES = 7;
const DELETE_TOPICS_NAMES = 5;
/** A request that is refused with passing errors for longer has not passed (ms). */
const PATIENCE_MS = 60_000;

/** Producer ids and epochs, from the broker. */
export async function newProducer(link: Link): Promise<ProducerIdentity> {
  const request = newInitProducerIdRequest({
    transactionalId: null,
    transactionTimeoutMs: 60_000,
    producerId: -1,
    producerEpoch: -1,
  });
  const give = new Patience("get a producer id");
  for (;;) {
    const response = await link.call(INIT_PRODUCER_ID, request, 4);
    if (response !== null) {
      const { errorCode, producerId, producerEpoch } = response;
      if (errorCode === 0) return { producerId, producerEpoch };
      give.refused(errorCode);
      link.elsewhere();
    }
    await pause(RETRY_MS);
  }
}

/** Makes a topic; one that is there after an attempt without an answer was made by it. */
export async function createTopic(
  link: Link,
  name: string,
  partitions: number,
  configs: Readonly<Record<string, string>> = {},
): Promise<void> {
  const give = new Patience(`create ${name}`);
  for (let unanswered = false;;) {
    const response = await link.call(
      CREATE_TOPICS,
      newCreateTopicsRequest({
        timeoutMs: TIMEOUT_MS,
        topics: [
          newCreatableTopic({
            name,
            numPartitions: partitions,
            // The broker's default.
            replicationFactor: -1,
            configs: Object.entries(configs).map(([key, value]) =>
              newCreatableTopicConfig({ name: key, value })
            ),
          }),
        ],
      }),
      5,
    );
    if (response === null) unanswered = true;
    else {
      const { errorCode } = response.topics[0]!;
      if (errorCode === 0) return;
      if (errorCode === ErrorCode.TOPIC_ALREADY_EXISTS && unanswered) return;
      give.refused(errorCode);
      // Who ceased to be the controller cannot say what becomes of it.
      unanswered = true;
      link.elsewhere();
    }
    await pause(RETRY_MS);
  }
}

export async function deleteTopic(link: Link, name: string): Promise<void> {
  const give = new Patience(`delete ${name}`);
  for (let unanswered = false;;) {
    const response = await link.call(
      DELETE_TOPICS,
      newDeleteTopicsRequest({ topicNames: [name], timeoutMs: TIMEOUT_MS }),
      DELETE_TOPICS_NAMES,
    );
    if (response === null) unanswered = true;
    else {
      const { errorCode } = response.responses[0]!;
      if (errorCode === 0) return;
      if (errorCode === ErrorCode.UNKNOWN_TOPIC_OR_PARTITION && unanswered) return;
      give.refused(errorCode);
      unanswered = true;
      link.elsewhere();
    }
    await pause(RETRY_MS);
  }
}

/** Commits ever larger offsets for a group, and reads them back after every reconnection. */
export class CommitLoad {
  readonly #link: Link;
  readonly #group: string;
  readonly #topic: string;
  readonly #problems: Problems;
  #sent = 0;
  acked = 0;

  constructor(link: Link, group: string, topic: string, problems: Problems) {
    this.#link = link;
    this.#group = group;
    this.#topic = topic;
    this.#problems = problems;
  }

  async run(stopped: () => boolean): Promise<void> {
    let generation = -1;
    await this.#findCoordinator();
    while (!stopped()) {
      await this.#link.open();
      if (this.#link.generation !== generation) {
        generation = this.#link.generation;
        await this.check();
        continue;
      }
      await this.#commit(this.#sent + 1);
      await pause(3);
    }
  }

  /** What the broker says must lie between the last acknowledged commit and the last one sent. */
  async check(): Promise<void> {
    const give = new Patience(`fetch offsets of ${this.#group}`);
    for (;;) {
      const response = await this.#link.call(
        OFFSET_FETCH,
        newOffsetFetchRequest({
          groupId: this.#group,
          topics: [newOffsetFetchRequestTopic({ name: this.#topic, partitionIndexes: [0] })],
        }),
        OFFSET_FETCH_NAMES,
      );
      const one = response?.topics[0]?.partitions[0];
      const errorCode = response === null ? -1 : response.errorCode || (one?.errorCode ?? 0);
      if (errorCode === 0) {
        const found = Math.max(0, one?.committedOffset ?? -1);
        if (found < this.acked || found > this.#sent) {
          this.#problems.add(
            `group ${this.#group}: committed offset ${found}, acknowledged ${this.acked}, ` +
              `sent ${this.#sent}`,
          );
        }
        this.acked = Math.max(this.acked, found);
        return;
      }
      if (errorCode > 0) {
        give.refused(errorCode);
        this.#link.elsewhere();
      }
      await pause(RETRY_MS);
    }
  }

  /** Makes the broker make the topic that the offsets are kept in. */
  async #findCoordinator(): Promise<void> {
    const give = new Patience(`find the coordinator of ${this.#group}`);
    for (;;) {
      const response = await this.#link.call(
        FIND_COORDINATOR,
        newFindCoordinatorRequest({ key: this.#group }),
        2,
      );
      if (response?.errorCode === 0) return;
      if (response !== null) give.refused(response.errorCode);
      await pause(RETRY_MS);
    }
  }

  async #commit(offset: number): Promise<void> {
    this.#sent = offset;
    const response = await this.#link.call(
      OFFSET_COMMIT,
      newOffsetCommitRequest({
        groupId: this.#group,
        generationIdOrMemberEpoch: -1,
        memberId: "",
        topics: [
          newOffsetCommitRequestTopic({
            name: this.#topic,
            partitions: [
              newOffsetCommitRequestPartition({
                partitionIndex: 0,
                committedOffset: offset,
                committedMetadata: "",
              }),
            ],
          }),
        ],
      }),
      OFFSET_COMMIT_NAMES,
    );
    if (response === null) return;
    const { errorCode } = response.topics[0]!.partitions[0]!;
    if (errorCode === 0) this.acked = offset;
    else if (!errorInfo(errorCode).retriable) {
      this.#problems.add(`group ${this.#group}: commit refused with ${errorInfo(errorCode).name}`);
    } else this.#link.elsewhere();
  }
}

/** Asks for the ends of partitions again and again. */
export function watchLoad(linkTo: LinkTo, ledgers: readonly Ledger[]): SideLoad {
  return async (stopped) => {
    while (!stopped()) {
      for (const ledger of ledgers) {
        if (stopped()) return;
        // Acknowledgements that come meanwhile may cover more: only earlier ones count.
        const before = ledger.highWatermark;
        const { end } = await range(linkTo(ledger), ledger);
        if (end < before) ledger.complain(`watcher: high watermark ${end} after ${before}`);
      }
      await pause(20);
    }
  };
}

/** Deletes records of a partition now and then, up to somewhere in what is there. */
export class TrimLoad {
  readonly #linkTo: LinkTo;
  readonly #ledgers: readonly Ledger[];
  readonly #random: Random;
  #held = false;
  #busy = false;

  constructor(linkTo: LinkTo, ledgers: readonly Ledger[], random: Random) {
    this.#linkTo = linkTo;
    this.#ledgers = ledgers;
    this.#random = random;
  }

  async run(stopped: () => boolean): Promise<void> {
    const random = this.#random;
    while (!stopped()) {
      await pause(200 + random.nextBelow(600));
      if (this.#held || stopped()) continue;
      const ledger = this.#ledgers[random.nextBelow(this.#ledgers.length)]!;
      const span = ledger.highWatermark - ledger.trimSent;
      if (span < 2) continue;
      this.#busy = true;
      try {
        const offset = ledger.trimSent + 1 + random.nextBelow(Math.ceil(span / 2));
        await trim(this.#linkTo(ledger), ledger, offset);
      } finally {
        this.#busy = false;
      }
    }
  }

  /** No deletions until {@linkcode resume}; resolves when none is on its way. */
  async hold(): Promise<void> {
    this.#held = true;
    while (this.#busy) await pause(5);
  }

  resume(): void {
    this.#held = false;
  }
}

/** Deletes a partition's records below `offset`; the ledger knows what was asked for and what was done. */
export async function trim(link: Link, ledger: Ledger, offset: number): Promise<void> {
  ledger.trimSent = offset;
  const response = await link.call(
    DELETE_RECORDS,
    newDeleteRecordsRequest({
      timeoutMs: TIMEOUT_MS,
      topics: [
        newDeleteRecordsTopic({
          name: ledger.topic,
          partitions: [newDeleteRecordsPartition({ partitionIndex: ledger.partition, offset })],
        }),
      ],
    }),
    2,
  );
  if (response === null) return;
  const { errorCode, lowWatermark } = response.topics[0]!.partitions[0]!;
  if (errorCode === 0) {
    if (lowWatermark !== offset) {
      ledger.complain(`records deleted up to ${lowWatermark} instead of ${offset}`);
    }
    ledger.trimAcked = offset;
  } else if (!errorInfo(errorCode).retriable) {
    ledger.complain(`deletion of records refused with ${errorInfo(errorCode).name}`);
  } else link.elsewhere();
}
/**
 * Topics that come and go under a few names: each is made, written, read, deleted. A new one under an
 * old name must be empty, and an old one must not be there when its name is used again. In a cluster names are not used
 * again: a node may hear later than others that a topic is gone.
 */
export class ChurnLoad {
  readonly #linkTo: LinkTo;
  readonly #names: number;
  readonly #random: Random;
  readonly #problems: Problems;
  /** Numbers lanes from here on. */
  #nextLane: number;
  lives = 0;
  acked = 0;

  /** @param names how many names there are */
  constructor(
    linkTo: LinkTo,
    random: Random,
    firstLane: number,
    problems: Problems,
    names: number,
  ) {
    this.#linkTo = linkTo;
    this.#names = names;
    this.#random = random;
    this.#nextLane = firstLane;
    this.#problems = problems;
  }

  async run(stopped: () => boolean): Promise<void> {
    for (let turn = 0; !stopped() && !this.#problems.any; turn++) {
      await this.#life(`churn-${turn % this.#names}`);
      await pause(this.#random.nextBelow(100));
    }
  }

  async #life(topic: string): Promise<void> {
    const random = this.#random;
    const partitions = 1 + random.nextBelow(3);
    const anybody = this.#linkTo(null);
    await createTopic(anybody, topic, partitions);
    const identity = await newProducer(anybody);
    for (let partition = 0; partition < partitions; partition++) {
      const ledger = new Ledger(topic, partition, this.#problems);
      const link = this.#linkTo(ledger);
      const { start, end } = await range(link, ledger);
      if (end !== 0 || start !== 0) ledger.complain(`new, and holds [${start}, ${end})`);
      const lane = new Lane({
        id: this.#nextLane++,
        link,
        identity,
        ledger,
        random,
        recordsMax: 5,
        recordBytesMax: 3000,
        largePercent: 0,
        largeBytes: 0,
        pauseMs: 5,
      });
      const untilMs = performance.now() + random.nextBelow(150);
      await lane.run(() => performance.now() > untilMs);
      this.acked += lane.acked;
      await verifyPartition(link, ledger, UNVERIFIED);
    }
    await deleteTopic(anybody, topic);
    this.lives++;
  }
}

/** Throws when an error cannot pass, or has not passed for too long. */
class Patience {
  readonly #what: string;
  readonly #deadlineMs = performance.now() + PATIENCE_MS;

  constructor(what: string) {
    this.#what = what;
  }

  refused(errorCode: number): void {
    const { name, retriable } = errorInfo(errorCode);
    if (retriable && performance.now() < this.#deadlineMs && !isFinal(errorCode)) return;
    throw new Error(`Cannot ${this.#what}: ${name}`);
  }
}

function isFinal(errorCode: number): boolean {
  return errorCode === ErrorCode.TOPIC_ALREADY_EXISTS;
}
