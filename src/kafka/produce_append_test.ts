import { strict as assert } from "node:assert";
import { Settings } from "../base/settings.ts";
import { softwareCrc32c } from "../bytes/crc32c.ts";
import { wrapMemory } from "../bytes/memory.ts";
import { TopicConfig } from "../cluster/topic_config.ts";
import type { Traffic } from "../metrics/traffic.ts";
import { ProducerCheck } from "../storage/producer_table.ts";
import { ErrorCode } from "../wire/errors.ts";
import { RecordBatchBuilder } from "../wire/record_batch_builder.ts";
import { ACKS_ALL } from "./partition.ts";
import { PartitionLimits } from "./partition_limits.ts";
import { APPEND_BUSY, ProduceAppender } from "./produce_append.ts";
import type { RecordChecks } from "./record_checks.ts";
import { fakePartition } from "./test_fake_replica.ts";
import type { TransactionGuard } from "./transaction_guard.ts";

const REQUEST = {
  version: 12,
  acks: ACKS_ALL,
  wallMs: 1_000,
  transactionalIdAddress: -1,
  transactionalIdLength: -1,
};

/** A partition of a node that has just been elected, and its appender with a batch of an idempotent producer. */
function opening() {
  const memory = wrapMemory(new ArrayBuffer(4096));
  const builder = new RecordBatchBuilder();
  builder.add({ key: null, value: new Uint8Array(10), timestamp: 1 });
  const batch = builder.build({ producerId: 7, producerEpoch: 0, baseSequence: 0 });
  memory.bytes.set(batch, 0);
  const checks = {
    waits: () => false,
    hasEnded: () => false,
    soundMaxTimestampMs: () => 1,
    forget: () => {},
  } as unknown as RecordChecks;
  const crc32c = softwareCrc32c(memory);
  const transactions = {} as unknown as TransactionGuard;
  const traffic = { add: () => {} } as unknown as Traffic;
  const options = { memory, crc32c, checks, checkCompressed: true, transactions, traffic };
  const appender = new ProduceAppender(options);
  const { partition, replica } = fakePartition();
  const config = new TopicConfig(new Map(), new Settings(new Map()));
  partition.configure(new PartitionLimits(config));
  const producers = { verdict: ProducerCheck.NEW as ProducerCheck, duplicateOffset: 0 };
  Object.assign(replica.manual.producers, producers, {
    check(this: typeof producers) {
      return this.verdict;
    },
    firstUnstable: () => -1,
  });
  const known = replica.manual.producers as unknown as typeof producers;
  replica.opening = true;
  replica.undecided = true;
  const append = (): number => appender.append(partition, 0, batch.length, REQUEST);
  return { partition, replica, known, append };
}

Deno.test("a node that has just been elected takes records before its no-op is committed", () => {
  const { replica, append } = opening();
  assert.equal(append(), ErrorCode.NONE);
  assert.equal(replica.appends, 1);
  replica.opening = false;
  replica.undecided = false;
  assert.equal(append(), ErrorCode.NOT_LEADER_OR_FOLLOWER);
});

Deno.test("before its no-op is committed a leader refuses no producer, and says of no record that it is there", () => {
  const { partition, replica, known, append } = opening();
  for (const verdict of [ProducerCheck.INVALID_EPOCH, ProducerCheck.OUT_OF_ORDER]) {
    known.verdict = verdict;
    assert.equal(append(), APPEND_BUSY);
  }
  known.verdict = ProducerCheck.DUPLICATE;
  assert.equal(append(), ErrorCode.NONE);
  assert(!partition.hasReached(1, ACKS_ALL), "the answer waits for the commit");
  replica.opening = false;
  replica.lead(3);
  known.verdict = ProducerCheck.INVALID_EPOCH;
  assert.equal(append(), ErrorCode.INVALID_PRODUCER_EPOCH);
  assert.equal(replica.appends, 0);
});

Deno.test("a node that has been elected, and commits nothing for a while, keeps no producer waiting", () => {
  const { replica, known, append } = opening();
  known.verdict = ProducerCheck.OUT_OF_ORDER;
  assert.equal(append(), APPEND_BUSY);
  replica.undecided = false;
  assert.equal(append(), ErrorCode.NOT_LEADER_OR_FOLLOWER);
  known.verdict = ProducerCheck.NEW;
  assert.equal(append(), ErrorCode.NOT_LEADER_OR_FOLLOWER);
  assert.equal(replica.appends, 0);
});
