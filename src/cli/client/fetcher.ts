/**
 * Reads partitions from their leaders: one fetch in flight per leader, answers in the order they come.
 *
 * @module
 */

import { ErrorCode, errorInfo } from "../../wire/errors.ts";
import { FETCH } from "../../wire/generated/apis.ts";
import {
  newFetchPartition,
  newFetchRequest,
  newFetchTopic,
} from "../../wire/generated/fetch_request.ts";
import type { FetchResponse } from "../../wire/generated/fetch_response.ts";
import type { Cluster } from "./cluster.ts";
import type { TopicPartition } from "./groups.ts";
import { AT_END, AT_START, listOffsets } from "./offsets.ts";
import { brokerRefusal } from "./outcome.ts";
import { type ConsumedRecord, readBatches } from "./records.ts";
import { pause } from "../pause.ts";

/** Highest version that names topics. */
export const FETCH_NAMES = 12;
const WAIT_MS = 500;
const BYTES_MAX = 16 * 2 ** 20;
const PARTITION_BYTES_MAX = 2 ** 20;
const RETRY_PAUSE_MS = 100;

interface Assigned extends TopicPartition {
  /** The next offset to fetch. */
  offset: number;
}

interface Answer {
  readonly leader: number;
  readonly response: FetchResponse;
}

export interface FetchOptions {
  readonly isReadCommitted: boolean;
  /** Where to continue when an offset does not exist any longer (or not yet). */
  readonly resetTo: "start" | "end";
  /** Told when that happens, in words. */
  readonly onReset: (what: string) => void;
}

export class Fetcher {
  readonly #cluster: Cluster;
  readonly #options: FetchOptions;
  #assigned = new Map<string, Assigned>();
  /** Partitions by the leader that they are fetched from; null: to be found. */
  #leaders: Map<number, Assigned[]> | null = null;
  #inFlight = new Map<number, Promise<Answer>>();

  constructor(cluster: Cluster, options: FetchOptions) {
    this.#cluster = cluster;
    this.#options = options;
  }

  /** Reads these and no others from now on. */
  assign(partitions: readonly (TopicPartition & { readonly offset: number })[]): void {
    this.#assigned = new Map(
      partitions.map((one) => [`${one.topic}/${one.partition}`, { ...one }]),
    );
    this.#leaders = null;
  }

  /** The next offset of every assigned partition. */
  get positions(): readonly Readonly<Assigned>[] {
    return [...this.#assigned.values()];
  }

  /** Records of the first leader that answers; none when it had none within half a second. */
  async poll(): Promise<ConsumedRecord[]> {
    if (this.#assigned.size === 0) {
      await pause(RETRY_PAUSE_MS);
      return [];
    }
    this.#leaders ??= await this.#cluster.byLeader([...this.#assigned.values()]);
    for (const [leader, partitions] of this.#leaders) {
      if (this.#inFlight.has(leader)) continue;
      const fetching = this.#fetch(leader, partitions);
      // The next poll meets the failure; until then it must not count as unhandled.
      fetching.catch(() => {});
      this.#inFlight.set(leader, fetching);
    }
    try {
      const { leader, response } = await Promise.race(this.#inFlight.values());
      this.#inFlight.delete(leader);
      return await this.#read(response);
    } catch (error) {
      // The next poll asks all nodes again.
      this.#inFlight.clear();
      this.#leaders = null;
      throw error;
    }
  }

  async #fetch(leader: number, partitions: readonly Assigned[]): Promise<Answer> {
    const connection = await this.#cluster.node(leader);
    const byTopic = Map.groupBy(partitions, (one) => one.topic);
    const request = newFetchRequest({
      replicaId: -1,
      maxWaitMs: WAIT_MS,
      minBytes: 1,
      maxBytes: BYTES_MAX,
      isolationLevel: this.#options.isReadCommitted ? 1 : 0,
      sessionEpoch: -1,
      topics: [...byTopic].map(([topic, ones]) =>
        newFetchTopic({
          topic,
          partitions: ones.map(({ partition, offset }) =>
            newFetchPartition({
              partition,
              fetchOffset: offset,
              partitionMaxBytes: PARTITION_BYTES_MAX,
            })
          ),
        })
      ),
    });
    const timeoutMs = this.#cluster.timeoutMs + WAIT_MS;
    return {
      leader,
      response: await connection.call(FETCH, request, { maxVersion: FETCH_NAMES, timeoutMs }),
    };
  }

  async #read(response: FetchResponse): Promise<ConsumedRecord[]> {
    if (response.errorCode !== 0) throw brokerRefusal("read", response.errorCode);
    const records: ConsumedRecord[] = [];
    for (const { topic, partitions } of response.responses) {
      for (const answer of partitions) {
        const assigned = this.#assigned.get(`${topic}/${answer.partitionIndex}`);
        // Given away while the fetch was under way.
        if (assigned === undefined) continue;
        if (answer.errorCode === ErrorCode.OFFSET_OUT_OF_RANGE) {
          await this.#reset(assigned);
        } else if (answer.errorCode !== 0) {
          // Data that a disk has lost does not return by retrying.
          const isFinal = answer.errorCode === ErrorCode.KAFKA_STORAGE_ERROR ||
            answer.errorCode === ErrorCode.CORRUPT_MESSAGE ||
            !errorInfo(answer.errorCode).retriable;
          if (isFinal) {
            const place = `${topic}/${answer.partitionIndex} at offset ${assigned.offset}`;
            throw brokerRefusal(`read ${place}`, answer.errorCode);
          }
          this.#leaders = null;
          await pause(RETRY_PAUSE_MS);
        } else if (answer.records !== null && answer.records.length > 0) {
          const read = readBatches(assigned, answer.records, answer.abortedTransactions ?? []);
          for (const record of read.records) records.push(record);
          assigned.offset = read.nextOffset;
        }
      }
    }
    return records;
  }

  async #reset(assigned: Assigned): Promise<void> {
    const { topic, partition } = assigned;
    const time = this.#options.resetTo === "start" ? AT_START : AT_END;
    const [found] = await listOffsets(this.#cluster, [{ topic, partition, time }]);
    const { resetTo, onReset } = this.#options;
    onReset(
      `${topic}/${partition} has no offset ${assigned.offset} any more: going on at its ${resetTo}, ` +
        `offset ${found!.offset}`,
    );
    assigned.offset = found!.offset;
  }
}
