/**
 * A simulated client that sends batches which no consumer could read. The broker must refuse every one of
 * them, with a code that says so: one that were stored would be found by whoever reads the log.
 *
 * @module
 */

import { ErrorCode } from "../../src/wire/errors.ts";
import { PRODUCE } from "../../src/wire/generated/apis.ts";
import { newProduceRequest } from "../../src/wire/generated/produce_request.ts";
import { Compression } from "../../src/wire/record_batch.ts";
import { type HandBatch, handMadeBatch } from "../conformance/records/hand_made_batch.ts";
import { Actor } from "./actor.ts";
import { BATCH_TIME_MS } from "./checker.ts";
import { expect } from "./sim_failure.ts";

/** Topics by id, zstd and record errors: the last version has them all. */
const VERSION = 13;
const VALUE = "abcdefgh".repeat(40);
const TWO = [{ value: VALUE }, { value: VALUE }];
const HUGE = "abcdefgh".repeat(20_000);

type Spoilt = Omit<HandBatch, "baseTimestamp" | "compression">;

/** Wrong whatever the compression. */
const INSIDE: readonly Spoilt[] = [
  { records: [{ offsetDelta: 1 }, { offsetDelta: 0 }] },
  { records: TWO, count: 3 },
  { records: TWO, count: 1 },
  { records: [{ lengthMore: 1 }, {}] },
  { records: [{ headerCount: 1_000_000 }] },
  { records: TWO, plain: (bytes) => bytes.slice(0, -1) },
  { records: TWO, plain: (bytes) => Uint8Array.of(...bytes, 0) },
];

/** Wrong where something has to be decompressed. */
const PACKED: readonly Spoilt[] = [
  // Found at the end of several slices; small as it is sent.
  { records: Array.from({ length: 5 }, () => ({ value: HUGE })), count: 6 },
  { records: TWO, packed: (bytes) => bytes.slice(0, bytes.length >> 1) },
  { records: TWO, packed: (bytes) => Uint8Array.of(...bytes, 1, 2, 3) },
  { records: TWO, packed: () => Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8) },
];

const REFUSALS: readonly number[] = [
  ErrorCode.INVALID_RECORD,
  ErrorCode.UNKNOWN_SERVER_ERROR,
  // A topic of its own, or none any more, or a disk that fails.
  ErrorCode.MESSAGE_TOO_LARGE,
  ErrorCode.UNKNOWN_TOPIC_ID,
  ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
  ErrorCode.NOT_LEADER_OR_FOLLOWER,
  ErrorCode.NOT_ENOUGH_REPLICAS,
  ErrorCode.KAFKA_STORAGE_ERROR,
];

const made = new Map<Spoilt, Map<Compression, Uint8Array>>();

/** Made once: some are large. */
function spoiltBatch(kind: Spoilt, compression: Compression): Uint8Array {
  let batches = made.get(kind);
  if (batches === undefined) made.set(kind, batches = new Map());
  let batch = batches.get(compression);
  if (batch === undefined) {
    // Before all batches that others send: nobody could take it for one of them.
    const baseTimestamp = BATCH_TIME_MS - 1;
    batch = handMadeBatch({ ...kind, compression, baseTimestamp });
    batches.set(compression, batch);
  }
  return batch;
}

export class SpoilActor extends Actor {
  override get idle(): boolean {
    return this.openRequests === 0;
  }

  protected override act(): void {
    if (this.stage.draining || this.openRequests > 0 || !this.chance(20)) return;
    const topics = this.stage.topics.filter(({ id, deleting }) => id !== "" && !deleting);
    if (topics.length === 0) return;
    const topic = this.pick(topics);
    const index = this.random.nextBelow(topic.partitions);
    const leader = this.leaderOf(topic.id, index);
    if (leader < 0) return;
    const compression = this.pick(Object.values(Compression));
    const kinds = compression === Compression.NONE ? INSIDE : [...INSIDE, ...PACKED];
    const records = spoiltBatch(this.pick(kinds), compression);
    const request = newProduceRequest({
      acks: -1,
      timeoutMs: 1000,
      topicData: [{ name: "", topicId: topic.id, partitionData: [{ index, records }] }],
    });
    this.ask(PRODUCE, VERSION, request, (response) => {
      const { errorCode } = response.responses[0]!.partitionResponses[0]!;
      this.stage.checker.observe(errorCode);
      this.misled(errorCode);
      expect(REFUSALS.includes(errorCode), () => `a spoilt batch is answered with ${errorCode}`);
    }, leader);
  }

  protected override forget(): void {}
}
