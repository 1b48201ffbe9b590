/**
 * Differences that are meant: records and fetches.
 *
 * @module
 */

import type { JsonObject } from "./case.ts";
import type { KnownDifference } from "./known.ts";

/** Whether a request to produce names a partition twice. */
function namesPartitionTwice({ topicData }: JsonObject): boolean {
  const topics = (topicData ?? []) as readonly JsonObject[];
  const named = topics.flatMap(({ name, topicId, partitionData }) => {
    const partitions = (partitionData ?? []) as readonly JsonObject[];
    return partitions.map(({ index }) => JSON.stringify([name ?? "", topicId ?? "", index ?? 0]));
  });
  return new Set(named).size < named.length;
}

function namesTopicTwice({ topicData }: JsonObject): boolean {
  const topics = (topicData ?? []) as readonly JsonObject[];
  const named = topics.map(({ name, topicId }) => JSON.stringify([name ?? "", topicId ?? ""]));
  return new Set(named).size < named.length;
}

export const KNOWN_DATA: readonly KnownDifference[] = [
  {
    apis: ["Produce"],
    path: /^responses/,
    request: namesPartitionTwice,
    endsCase: true,
    asked: "Batches for one partition twice in one request.",
    kafkaDoes: "Appends only the last, and answers once.",
    gregorDoes: "Appends each, and answers each.",
    reason: "No record of a request is dropped silently.",
  },
  {
    apis: ["Produce"],
    path: /^responses$/,
    request: namesTopicTwice,
    asked: "Batches for two partitions of a topic that is named twice.",
    kafkaDoes: "Answers the topic once.",
    gregorDoes: "Answers it twice.",
    reason: "The answer has the shape of the request.",
  },
  {
    apis: ["Produce"],
    path: /^responses(?:\{.*\})?$/,
    request: /"partitionData":\[\]/,
    asked: "A topic without partitions.",
    kafkaDoes: "Leaves the topic out of the answer.",
    gregorDoes: "Answers the topic without partitions.",
    reason: "The answer has the shape of the request.",
  },
  {
    apis: ["Produce"],
    path: /logStartOffset$/,
    kafka: /^-1$/,
    gregor: /^0$/,
    asked: "Records that are refused.",
    kafkaDoes: "Returns the log start for some of the errors.",
    gregorDoes: "Returns the log start of every partition that it knows.",
    reason: "The value is true.",
  },
  {
    apis: ["Fetch"],
    path: /^responses\[\]\.partitions\[\]\./,
    request: /[mM]axBytes":-/,
    asked: "A negative number of bytes.",
    kafkaDoes: "UNKNOWN_SERVER_ERROR.",
    gregorDoes: "Treats it as 0.",
    reason: "Both answer; a first batch is sent however small the limit is.",
  },
  {
    apis: ["Fetch"],
    path: /^(?:errorCode|responses.*|sessionId)$/,
    request: /"isolationLevel":(?:-|2|127)/,
    asked: "An unknown isolation level.",
    kafkaDoes: "UNKNOWN_SERVER_ERROR.",
    gregorDoes: "Reads what is committed to the log.",
    reason: "Only level 1 restricts the read.",
  },
  {
    apis: ["Fetch"],
    path: /^responses\[\]\.partitions\[\]\.records/,
    request: /"__consumer_offsets"/,
    asked: "Records of `__consumer_offsets`.",
    kafkaDoes: "Its coordinators' records.",
    gregorDoes: "Its coordinators' records.",
    reason: "They contain timestamps, and Kafka writes other batches.",
  },
  {
    apis: ["Fetch"],
    path: /^(?:errorCode|responses.*|sessionId)$/,
    request: /"sessionId":(?:-2147483648|-1|-2|2147483647)/,
    asked: "A session by an id that no broker assigns.",
    kafkaDoes: "UNKNOWN_SERVER_ERROR.",
    gregorDoes: "An error: there is no such session.",
    reason: "Clients handle that error.",
  },
  {
    apis: ["Fetch"],
    path: /^sessionId$/,
    gregor: /^0$/,
    request: /"(?:topics|partitions)":\[\]/,
    asked: "A session of no partitions.",
    kafkaDoes: "Creates one.",
    gregorDoes: "Creates none.",
    reason: "A client that adds partitions later gets one then.",
  },
  {
    apis: ["Fetch"],
    path: /abortedTransactions$/,
    kafka: /^\[\]$/,
    gregor: /^null$/,
    asked: "An unknown topic, with isolation level 0.",
    kafkaDoes: "An empty list of aborted transactions.",
    gregorDoes: "No list.",
    reason: "Kafka answers this way for known topics.",
  },
  {
    apis: ["Produce"],
    path: /errorMessage$/,
    kafka: /^"Invalid magic found in record: \d+"$/,
    gregor: /^null$/,
    asked: "A batch of an unknown format.",
    kafkaDoes: "Names the format in a text.",
    gregorDoes: "No text.",
    reason: "The error code says it.",
  },
  {
    apis: ["Produce"],
    path: /errorMessage$/,
    kafka: /^null$/,
    gregor: /cannot be decompressed/,
    asked: "A batch that cannot be decompressed.",
    kafkaDoes: "No text.",
    gregorDoes: "A text that says it.",
    reason: "It helps, and no client depends on its absence.",
  },
  {
    apis: ["Produce"],
    path: /errorCode$/,
    kafka: /^2$/,
    gregor: /^21$/,
    byChance: true,
    asked: "Damaged batches with an invalid acks.",
    kafkaDoes: "CORRUPT_MESSAGE.",
    gregorDoes: "INVALID_REQUIRED_ACKS.",
    reason: "Both refuse. Gregor does not read batches that it cannot append.",
  },
  {
    apis: ["Produce"],
    path: /^responses/,
    request:
      /"producerId":"%0:producerId%","producerEpoch":-1|"baseSequence":-1,|"baseSequence":-1\}/,
    gregor: /^87$|^-1$/,
    endsCase: true,
    asked: "A batch with a producer id, but without an epoch or a sequence number.",
    kafkaDoes: "Accepts the first one of a producer.",
    gregorDoes: "INVALID_RECORD.",
    reason: "Kafka's own clients never send one, and a repetition of it could not be detected.",
  },
  {
    apis: ["Produce"],
    path: /errorCode$/,
    request: /"isTransactional":true/,
    asked: "A batch of a transaction.",
    kafkaDoes: "TRANSACTIONAL_ID_AUTHORIZATION_FAILED without a transactional id.",
    gregorDoes: "INVALID_TXN_STATE.",
    reason: "There are no transactions yet.",
  },
  {
    apis: ["Fetch"],
    path: /currentLeader\.(?:leaderId|leaderEpoch)$/,
    request: /"replicaId":/,
    asked: "A fetch of a replica.",
    kafkaDoes: "Names the leader in the refusal.",
    gregorDoes: "Refuses without naming the leader.",
    reason: "Replicas use another protocol here.",
  },
];
