/**
 * Differences that are meant: producers' and consumers' coordinators.
 *
 * @module
 */

import type { JsonObject } from "./case.ts";
import type { KnownDifference } from "./known.ts";

export const KNOWN_GROUPS: readonly KnownDifference[] = [
  {
    apis: ["DescribeGroups"],
    path: /^groups\[\]\.(?:errorCode|errorMessage|groupState)$/,
    gregor: /^69$|not found|"Dead"/,
    kafka: /^0$|null|"Empty"/,
    asked: "A group after a JoinGroup that was refused for its protocols.",
    kafkaDoes: "There is an empty group.",
    gregorDoes: "There is none.",
    reason: "A refused request leaves no group.",
  },
  {
    apis: ["DeleteGroups"],
    path: /^results\[\]\.errorMessage$/,
    kafka: /^null$/,
    asked: "To delete a group that does not exist, or that has members.",
    kafkaDoes: "No text.",
    gregorDoes: "A text.",
    reason: "It helps, and no client depends on its absence.",
  },
  {
    apis: ["OffsetDelete"],
    path: /^topics(?:$|\[\]\.partitions|\{)/,
    request: namesTopicTwice,
    asked: "To delete offsets of one topic that is named twice.",
    kafkaDoes: "Answers it twice, where nothing of it is refused.",
    gregorDoes: "Answers each topic once.",
    reason: "Kafka does so where something is refused.",
  },
  {
    apis: ["OffsetDelete"],
    path: /^topics(?:\{.*\}|\[\]\.partitions)?$/,
    request: /"partitions":\[\]/,
    asked: "To delete offsets of a topic without partitions.",
    kafkaDoes: "Leaves the topic out of the answer.",
    gregorDoes: "Answers the topic without partitions.",
    reason: "The answer has the shape of the request.",
  },
  {
    apis: ["DeleteGroups"],
    path: /^results\[\]\.errorCode$/,
    kafka: /^0$/,
    gregor: /^69$/,
    asked: "To delete a group of which there was only a refused commit.",
    kafkaDoes: "Deletes an empty group.",
    gregorDoes: "GROUP_ID_NOT_FOUND.",
    reason: "A refused request leaves no group.",
  },
];

function namesTopicTwice({ topics }: JsonObject): boolean {
  const names = ((topics ?? []) as readonly JsonObject[]).map(({ name }) => name ?? "");
  return new Set(names).size < names.length;
}
