/**
 * Families of requests: fetch sessions, by the names of topics and by their ids.
 *
 * @module
 */

import { type JsonObject, type Step, step } from "./case.ts";
import type { Family } from "./family.ts";
import { OWN_RECORDS } from "./templates_data.ts";
import { OWN_TOPIC } from "./templates_topics.ts";

const [CREATE, SHOWN, SERVED] = OWN_TOPIC as [Step, Step, Step];

const fetch = (more: JsonObject = {}, version = 12): Step =>
  step("Fetch", version, {
    maxWaitMs: 0,
    minBytes: 0,
    sessionId: "%3:sessionId%",
    sessionEpoch: 1,
    ...more,
  });

const partitions = (...indexes: number[]) =>
  indexes.map((partition) => ({ partition, partitionMaxBytes: 1_000_000 }));

const DELETE: Step = step("DeleteTopics", 5, { topicNames: ["$ct"], timeoutMs: 10_000 });

/** More records than a session's answers so far, in another partition. */
const MORE_RECORDS: Step = step("Produce", 12, {
  acks: -1,
  timeoutMs: 10_000,
  topicData: [{
    name: "$ct",
    partitionData: [1, 2].map((index) => ({
      index,
      records: { batches: [{ records: ["d", "e"] }] },
    })),
  }],
});

const TRIM: Step = step("DeleteRecords", 2, {
  topics: [{ name: "$ct", partitions: [{ partitionIndex: 0, offset: -1 }] }],
  timeoutMs: 5_000,
});

export const SESSIONS: Family = {
  name: "fetch session",
  opening: [
    ...OWN_TOPIC,
    fetch({
      sessionId: 0,
      sessionEpoch: 0,
      topics: [{ topic: "$ct", partitions: partitions(0, 1) }],
    }),
  ],
  requests: [
    OWN_RECORDS,
    MORE_RECORDS,
    TRIM,
    fetch(),
    fetch({ sessionEpoch: 2 }),
    fetch({ sessionEpoch: 3 }),
    fetch({ sessionEpoch: -1 }),
    fetch({ sessionEpoch: 0, topics: [{ topic: "$ct", partitions: partitions(0) }] }),
    fetch({ forgottenTopicsData: [{ topic: "$ct", partitions: [0] }] }),
    fetch({ sessionEpoch: 2, forgottenTopicsData: [{ topic: "$ct", partitions: [1, 9] }] }),
    fetch({ topics: [{ topic: "$ct", partitions: partitions(2) }] }),
    fetch({ sessionEpoch: 2, topics: [{ topic: "$ct", partitions: partitions(1, 2, 1) }] }),
    fetch({ topics: [{ topic: "$cunknown", partitions: partitions(0) }] }),
    fetch({ topics: [{ topic: "$ct", partitions: [{ partition: 0, fetchOffset: 99 }] }] }),
    fetch({
      topics: [{
        topic: "$ct",
        partitions: [{ partition: 0, fetchOffset: 3, partitionMaxBytes: 1 }],
      }],
    }),
    fetch({ sessionId: 5 }),
    fetch({ sessionId: 0, sessionEpoch: 1 }),
    fetch({ topics: [{ topicId: "%id:$ct%", partitions: partitions(0) }] }, 13),
    // The session lasts longer than the topic.
    [DELETE, SHOWN, SERVED],
    [CREATE, SHOWN, SERVED],
  ],
};

const byId = (more: JsonObject = {}): Step => fetch(more, 17);
const OF_OWN = { topicId: "%id:$ct%" };
const OF_FIRST = { topicId: "%1:topics[0].topicId%" };
const OF_NONE = { topicId: "0123456789abcdef0123456789abcdef" };

export const SESSIONS_BY_ID: Family = {
  name: "fetch session by id",
  opening: [
    ...OWN_TOPIC,
    byId({
      sessionId: 0,
      sessionEpoch: 0,
      topics: [{ ...OF_OWN, partitions: partitions(0, 1) }],
    }),
  ],
  requests: [
    OWN_RECORDS,
    MORE_RECORDS,
    TRIM,
    byId(),
    byId({ sessionEpoch: 2 }),
    byId({ sessionEpoch: 3 }),
    byId({ sessionEpoch: -1 }),
    byId({ sessionEpoch: 0, topics: [{ ...OF_OWN, partitions: partitions(0, 2) }] }),
    byId({ forgottenTopicsData: [{ ...OF_OWN, partitions: [0] }] }),
    byId({ forgottenTopicsData: [{ ...OF_FIRST, partitions: [0, 1] }] }),
    byId({ sessionEpoch: 2, forgottenTopicsData: [{ ...OF_NONE, partitions: [0] }] }),
    byId({ topics: [{ ...OF_OWN, partitions: partitions(2) }] }),
    byId({ topics: [{ ...OF_NONE, partitions: partitions(0) }] }),
    byId({ sessionEpoch: 2, topics: [{ ...OF_NONE, partitions: partitions(0) }] }),
    byId({ topics: [{ ...OF_OWN, partitions: [{ partition: 9, fetchOffset: 0 }] }] }),
    byId({ topics: [{ ...OF_OWN, partitions: [{ partition: 0, fetchOffset: 3 }] }] }),
    fetch({ topics: [{ topic: "$ct", partitions: partitions(0) }] }),
    [DELETE, SHOWN, SERVED],
    [CREATE, SHOWN, SERVED],
  ],
};
