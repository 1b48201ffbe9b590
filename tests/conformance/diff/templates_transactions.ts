/**
 * Templates of transactions.
 *
 * @module
 */

import { type JsonObject, type Step, step } from "./case.ts";
import type { Template } from "./template.ts";
import { OWN_TOPIC } from "./templates_topics.ts";

/** A producer with the case's own transactional id, `$ctxn`. */
const OWN_PRODUCER: Step = step("InitProducerId", 4, {
  transactionalId: "$ctxn",
  transactionTimeoutMs: 60_000,
});

/** The case's own topic takes {@linkcode OWN_TOPIC}'s steps before that. */
const AT = OWN_TOPIC.length;
const BEFORE: readonly Step[] = [...OWN_TOPIC, OWN_PRODUCER];
const PRODUCER = {
  transactionalId: "$ctxn",
  producerId: `%${AT}:producerId%`,
  producerEpoch: `%${AT}:producerEpoch%`,
};

/** Its transaction has a partition. */
const BEGUN: readonly Step[] = [
  ...BEFORE,
  step("AddPartitionsToTxn", 3, {
    v3AndBelowTransactionalId: PRODUCER.transactionalId,
    v3AndBelowProducerId: PRODUCER.producerId,
    v3AndBelowProducerEpoch: PRODUCER.producerEpoch,
    v3AndBelowTopics: [{ name: "$ct", partitions: [0] }],
  }),
];

const DESCRIBED: Step = step("DescribeTransactions", 0, { transactionalIds: ["$ctxn"] }, {
  settles: true,
});

const OFFSETS: JsonObject = {
  ...PRODUCER,
  groupId: "$cg",
  topics: [{
    name: "$ct",
    topicId: "%id:$ct%",
    partitions: [{ partitionIndex: 0, committedOffset: 3, committedMetadata: "note" }],
  }],
};

export const TRANSACTION_TEMPLATES: readonly Template[] = [
  {
    isPlain: true,
    api: "AddPartitionsToTxn",
    changes: "topics",
    to: 3,
    before: BEFORE,
    request: {
      v3AndBelowTransactionalId: PRODUCER.transactionalId,
      v3AndBelowProducerId: PRODUCER.producerId,
      v3AndBelowProducerEpoch: PRODUCER.producerEpoch,
      v3AndBelowTopics: [{ name: "$ct", partitions: [0, 1] }],
    },
    after: [DESCRIBED],
  },
  {
    isPlain: true,
    api: "AddPartitionsToTxn",
    changes: "topics",
    from: 4,
    before: BEFORE,
    request: {
      transactions: [{
        ...PRODUCER,
        verifyOnly: false,
        topics: [{ name: "$ct", partitions: [0, 1] }],
      }],
    },
    after: [DESCRIBED],
  },
  {
    isPlain: true,
    api: "AddOffsetsToTxn",
    changes: "topics",
    before: BEFORE,
    request: { ...PRODUCER, groupId: "$cg" },
    after: [DESCRIBED],
  },
  {
    isPlain: true,
    api: "EndTxn",
    changes: "topics",
    before: BEGUN,
    request: { ...PRODUCER, committed: true },
    after: [DESCRIBED],
  },
  {
    isPlain: true,
    api: "WriteTxnMarkers",
    changes: "topics",
    before: BEFORE,
    request: {
      markers: [{
        producerId: PRODUCER.producerId,
        producerEpoch: PRODUCER.producerEpoch,
        transactionResult: false,
        coordinatorEpoch: 0,
        topics: [{ name: "$ct", partitionIndexes: [0, 1] }],
      }],
    },
  },
  {
    isPlain: true,
    api: "TxnOffsetCommit",
    changes: "topics",
    before: [
      ...BEFORE,
      step("AddOffsetsToTxn", 3, { ...PRODUCER, groupId: "$cg" }),
    ],
    request: OFFSETS,
  },
  {
    isPlain: true,
    api: "DescribeTransactions",
    before: BEGUN,
    request: { transactionalIds: ["$ctxn"] },
  },
  {
    isPlain: true,
    api: "ListTransactions",
    before: BEGUN,
    request: { producerIdFilters: [PRODUCER.producerId], durationFilter: -1 },
  },
];
