/**
 * Differences that are meant: records and fetches.
 *
 * @module
 */

import { ZERO_UUID } from "../../../src/wire/uuid.ts";
import type { Json, JsonObject, Step } from "./case.ts";
import type { KnownDifference } from "./known.ts";

/** Whether a request to produce names a partition twice. */
export function namesPartitionTwice({ topicData }: JsonObject): boolean {
  const topics = (topicData ?? []) as readonly JsonObject[];
  const named = topics.flatMap(({ name, topicId, partitionData }) => {
    const partitions = (partitionData ?? []) as readonly JsonObject[];
    return partitions.map(({ index }) => JSON.stringify([name ?? "", topicId ?? "", index ?? 0]));
  });
  return new Set(named).size < named.length;
}

/** Whether a request to produce names a topic without partitions, or a damaged length makes it do so. */
function namesNoPartition(request: JsonObject, { damage }: Step): boolean {
  const isCut = damage !== undefined && "length" in damage &&
    (damage.says === 0 || damage.says === 1);
  return isCut || /"partitionData":\[\]/.test(JSON.stringify(request));
}

/** Whether one of the batches of several partitions is none. */
function hasNonsenseBesideOthers({ topicData }: JsonObject): boolean {
  const partitions = ((topicData ?? []) as readonly JsonObject[])
    .flatMap(({ partitionData }) => (partitionData ?? []) as readonly JsonObject[]);
  return partitions.length > 1 && /"text":"nonsense|"magic":3/.test(JSON.stringify(partitions));
}

/** Whether a request to fetch names several partitions by the id that no topic has. */
function fetchesFromNoTopic({ topics }: JsonObject): boolean {
  const nameless = ((topics ?? []) as readonly JsonObject[])
    .filter(({ topicId }) => topicId === undefined || topicId === ZERO_UUID);
  const partitions = nameless.flatMap((topic) => (topic.partitions ?? []) as readonly Json[]);
  return partitions.length > 1;
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
    gregor: /"partitionResponses":\[\]/,
    request: namesNoPartition,
    asked: "A topic without partitions.",
    kafkaDoes: "Leaves the topic out of the answer.",
    gregorDoes: "Answers the topic without partitions.",
    reason: "The answer has the shape of the request.",
  },
  {
    apis: ["Fetch"],
    path: /^responses\[\]\.partitions\[\]\./,
    kafka: /^(?:-1|\[\]|null|\[\{"baseOffset".*)$/,
    request: /[mM]axBytes":-/,
    asked: "A negative number of bytes.",
    kafkaDoes: "UNKNOWN_SERVER_ERROR.",
    gregorDoes: "Treats it as 0.",
    reason: "Both answer; a first batch is sent however small the limit is.",
  },
  {
    apis: ["Fetch"],
    path: /^(?:errorCode|responses.*|sessionId)$/,
    kafka: /^(?:-1|0|\[\]|\[\{.*"errorCode":-1,.*\])$/,
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
    kafka: /^(?:2|53|76|87)$/,
    gregor: /^(?:3|21|100)$/,
    request:
      /"magic":|"text":"nonsense|"hex":|"batches":\[\]|"isTransactional":true|"compression":"zstd"/,
    asked:
      "Batches that are refused anyway, with an invalid acks, or for a partition that there is not.",
    kafkaDoes: "Tells what is wrong with the batch.",
    gregorDoes: "INVALID_REQUIRED_ACKS, UNKNOWN_TOPIC_OR_PARTITION or UNKNOWN_TOPIC_ID.",
    reason: "Both refuse. Gregor does not read batches that it cannot append.",
  },
  {
    apis: ["Produce"],
    path: /^(?:responses.*)?$/,
    request:
      /"producerId":"%0:producerId%","producerEpoch":-1|"baseSequence":-1,|"baseSequence":-1\}/,
    gregor: /^87$|^-1$|^"closed"$/,
    endsCase: true,
    asked: "A batch with a producer id, but without an epoch or a sequence number.",
    kafkaDoes: "Accepts the first one of a producer.",
    gregorDoes: "INVALID_RECORD.",
    reason: "Kafka's own clients never send one, and a repetition of it could not be detected.",
  },
  {
    apis: ["Fetch"],
    path: /(?:currentLeader\.(?:leaderId|leaderEpoch)|errorCode)$/,
    gregor: /^-1$|^6$/,
    request: /"replicaId":/,
    asked: "A fetch of a replica.",
    kafkaDoes: "Checks its epoch, and names the leader in the refusal.",
    gregorDoes: "Refuses at once, without naming the leader.",
    reason: "Replicas use another protocol here.",
  },
  {
    apis: ["Produce"],
    path: /(?:errorMessage|batchIndexErrorMessage)$/,
    kafka: /^"(?:One or more records|Compacted topic|Timestamp)/,
    gregor: /^"/,
    asked:
      "Records that a topic does not take: without a key, or with a timestamp out of its range.",
    kafkaDoes: "Names each record, and why, in a text.",
    gregorDoes: "Names the same records, in another text.",
    reason: "The error codes and the records' numbers are the same.",
  },
  {
    apis: ["Fetch"],
    path: /^responses\[\]\.partitions\[\]\.records\[\]\.(?:attributes|payload)$/,
    kafka: /^1$|^"1f8b08/,
    gregor: /^0$|^"(?!1f8b08)/,
    asked: "Records of a topic with `compression.type=gzip` that their producer did not compress.",
    kafkaDoes: "Has compressed them.",
    gregorDoes: "Returns what the producer sent.",
    reason: "Gregor never compresses records again: their producer decides.",
  },
  {
    apis: ["ListOffsets"],
    path: /^topics\[\]\.partitions\[\]\.offset$/,
    kafka: /^0$/,
    gregor: /^2$/,
    request: /"timestamp":-3/,
    asked: "The offset of the newest timestamp (-3), when the records before it were deleted.",
    kafkaDoes: "An offset before the log start, where the batch has such a timestamp first.",
    gregorDoes: "The first one that can be read.",
    reason: "A fetch of Kafka's offset is OFFSET_OUT_OF_RANGE.",
  },
  {
    apis: ["Fetch", "Produce"],
    path: /^$/,
    kafka: /^"closed"$/,
    damage: /^\{"tags":/,
    asked: "A tagged field that this version knows, with too few bytes.",
    kafkaDoes: "Closes the connection.",
    gregorDoes: "Skips tagged fields that it does not use, whatever is in them.",
    reason: "They have no effect.",
  },
  {
    apis: ["Produce"],
    path: /^$/,
    kafka: /^"silence"$/,
    damage: /^\{"length":/,
    asked: "Records whose length is negative, which is null.",
    kafkaDoes: "Does not answer.",
    gregorDoes: "INVALID_RECORD; closes the connection where the length is damaged further.",
    reason: "The client learns of it.",
  },
  {
    apis: ["Fetch"],
    path: /^responses\[\]\.partitions\[\]\.records$/,
    kafka: /\{"cutTo":/,
    asked: "Fewer bytes than there are batches.",
    kafkaDoes: "Cuts the last batch.",
    gregorDoes: "Returns whole batches.",
    reason: "No client can read a part of a batch.",
  },
  {
    apis: ["Fetch"],
    path: /^(?:errorCode|responses|sessionId)$/,
    kafka: /^-1$|^\[\]$|^0$/,
    request: fetchesFromNoTopic,
    asked: "Several partitions of the topic id 0.",
    kafkaDoes: "UNKNOWN_SERVER_ERROR for the whole request.",
    gregorDoes: "UNKNOWN_TOPIC_ID for each.",
    reason: "Kafka answers so for one partition, and the other topics are answered.",
  },
  {
    apis: ["Produce"],
    path: /^responses/,
    kafka: /^2$|^-1$|^\[\]$|"Invalid magic/,
    request: hasNonsenseBesideOthers,
    endsCase: true,
    asked: "Batches of several partitions, of which one has an unknown format.",
    kafkaDoes: "Refuses all of them.",
    gregorDoes: "Refuses the one.",
    reason: "The partitions of a request succeed or fail each by itself.",
  },
];
