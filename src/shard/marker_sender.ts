/**
 * Has the markers of a transaction written in all its partitions, on whatever node and shard they are led.
 *
 * ```
 *   write(order) ─> partitions by leader ─> WriteTxnMarkers to each ─> what is left ─> pause ─> again
 *                                                                 └─> nothing is left: done
 * ```
 *
 * A partition that takes its marker, or is gone with its topic, is done; so is one that has a later epoch of the producer, which
 * only a later marker gave it. A topic is gone when this node, which hears the controller, has not known it for a while: after
 * a start or a failover its metadata may be older than the transaction. Everything else is tried again, as long as the
 * coordinator is there.
 *
 * @module
 */

import type { ClusterImage, PartitionImage } from "../cluster/image.ts";
import { all, runTask, type Task, until } from "../io/task.ts";
import { Timer, type Timers } from "../io/timers.ts";
import type { MarkerOrder } from "../txn/coordinator.ts";
import type { Api } from "../wire/api.ts";
import { ErrorCode } from "../wire/errors.ts";
import { WRITE_TXN_MARKERS } from "../wire/generated/apis.ts";
import type { WriteTxnMarkersRequest } from "../wire/generated/write_txn_markers_request.ts";
import type { MarkerSender } from "./transaction_runtime.ts";

/** The version in which partitions' leaders are asked. */
const VERSION = 2;
/** Pauses between attempts (ms): each twice the last one. */
const PAUSE_MS_MIN = 10;
const PAUSE_MS_MAX = 1_000;
/** How long a partition is unknown before it counts as deleted (ms). */
const GONE_AFTER_MS = 2_000;
/** Partitions named in one request. */
const PARTITIONS_PER_REQUEST = 1_000;
/** Requests of one order at once. */
const REQUESTS_AT_ONCE = 8;

export interface MarkerSenderOptions {
  readonly image: ClusterImage;
  readonly timers: Timers;
  readonly nowMs: () => number;
  /** Who leads a partition and can be reached; -1: nobody is known. */
  readonly leaderOf: (partition: PartitionImage) => number;
  /** The metadata is of now, as far as this node can know: it was complete once, and the controller is heard. */
  readonly isCurrent: () => boolean;
  /** Asks a node, which may be this one; null: no answer. */
  readonly ask: <Request, Response>(
    nodeId: number,
    api: Api<Request, Response>,
    version: number,
    request: Request,
  ) => Task<Response | null>;
}

interface Target {
  readonly topic: string;
  readonly index: number;
  /** Infinity: it is known, or was not looked for. */
  unknownSinceMs: number;
}

export class ShardMarkerSender implements MarkerSender {
  readonly #options: MarkerSenderOptions;

  constructor(options: MarkerSenderOptions) {
    this.#options = options;
  }

  write(
    order: MarkerOrder,
    coordinatorEpoch: number,
    isWanted: () => boolean,
    done: (isWritten: boolean) => void,
  ): void {
    runTask(this.#write(order, coordinatorEpoch, isWanted), done);
  }

  *#write(order: MarkerOrder, coordinatorEpoch: number, isWanted: () => boolean): Task<boolean> {
    let left: Target[] = [];
    for (const [topic, indexes] of order.partitions) {
      for (const index of indexes) left.push({ topic, index, unknownSinceMs: Infinity });
    }
    for (
      let pauseMs = PAUSE_MS_MIN;
      left.length > 0;
      pauseMs = Math.min(PAUSE_MS_MAX, 2 * pauseMs)
    ) {
      left = yield* this.#attempt(order, coordinatorEpoch, left);
      if (!isWanted()) return false;
      if (left.length > 0) yield* this.#pause(pauseMs);
      if (!isWanted()) return false;
    }
    return true;
  }

  /** One attempt at each partition; the ones that are left. */
  *#attempt(
    order: MarkerOrder,
    coordinatorEpoch: number,
    targets: readonly Target[],
  ): Task<Target[]> {
    const { image, leaderOf } = this.#options;
    const left: Target[] = [];
    const byNode = new Map<number, Target[]>();
    for (const target of targets) {
      const partition = image.topicByName(target.topic)?.partitions[target.index];
      if (partition === undefined) {
        if (!this.#isGone(target)) left.push(target);
        continue;
      }
      target.unknownSinceMs = Infinity;
      const nodeId = leaderOf(partition);
      if (nodeId < 0) {
        left.push(target);
        continue;
      }
      const known = byNode.get(nodeId);
      if (known === undefined) byNode.set(nodeId, [target]);
      else known.push(target);
    }
    const asked: Task<Target[]>[] = [];
    for (const [nodeId, wanted] of byNode) {
      for (let at = 0; at < wanted.length; at += PARTITIONS_PER_REQUEST) {
        const some = wanted.slice(at, at + PARTITIONS_PER_REQUEST);
        asked.push(this.#ask(nodeId, order, coordinatorEpoch, some));
      }
    }
    for (const still of yield* all(asked, REQUESTS_AT_ONCE)) left.push(...still);
    return left;
  }

  *#ask(
    nodeId: number,
    order: MarkerOrder,
    coordinatorEpoch: number,
    targets: Target[],
  ): Task<Target[]> {
    const request = requestOf(order, coordinatorEpoch, targets);
    const response = yield* this.#options.ask(nodeId, WRITE_TXN_MARKERS, VERSION, request);
    if (response === null) return targets;
    const errors = new Map<string, number>();
    for (const { topics } of response.markers) {
      for (const { name, partitions } of topics) {
        for (const { partitionIndex, errorCode } of partitions) {
          errors.set(`${name}/${partitionIndex}`, errorCode);
        }
      }
    }
    return targets.filter(({ topic, index }) => {
      const error = errors.get(`${topic}/${index}`);
      return error !== ErrorCode.NONE && error !== ErrorCode.INVALID_PRODUCER_EPOCH;
    });
  }

  /** Whether a partition that the metadata does not name was deleted. */
  #isGone(target: Target): boolean {
    const { isCurrent, nowMs } = this.#options;
    if (!isCurrent()) target.unknownSinceMs = Infinity;
    else target.unknownSinceMs = Math.min(target.unknownSinceMs, nowMs());
    return nowMs() - target.unknownSinceMs >= GONE_AFTER_MS;
  }

  *#pause(ms: number): Task<void> {
    const { timers, nowMs } = this.#options;
    yield* until<void>((done) => timers.schedule(new Timer(done), nowMs() + ms));
  }
}

function requestOf(
  { producerId, producerEpoch, isCommit, clientVersion }: MarkerOrder,
  coordinatorEpoch: number,
  targets: readonly Target[],
): WriteTxnMarkersRequest {
  const topics = new Map<string, number[]>();
  for (const { topic, index } of targets) {
    const known = topics.get(topic);
    if (known === undefined) topics.set(topic, [index]);
    else known.push(index);
  }
  return {
    markers: [{
      producerId,
      producerEpoch,
      transactionResult: isCommit,
      coordinatorEpoch,
      transactionVersion: clientVersion,
      topics: [...topics].map(([name, partitionIndexes]) => ({ name, partitionIndexes })),
    }],
  };
}
