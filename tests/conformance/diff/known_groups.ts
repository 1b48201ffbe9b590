/**
 * Differences that are meant: producers' and consumers' coordinators.
 *
 * @module
 */

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
    apis: ["DescribeGroups"],
    path: /memberAssignment$/,
    kafka: /^"mine"$/,
    gregor: /^""$/,
    asked: "A group that is about to get other assignments.",
    kafkaDoes: "Shows the previous assignments of some members.",
    gregorDoes: "Shows only the assignments of stable groups.",
    reason: "A member may no longer use its previous assignment.",
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
    path: /^topics/,
    asked: "To delete offsets of one topic that is named twice, or without partitions.",
    kafkaDoes: "Answers it twice, or not at all.",
    gregorDoes: "Answers each topic once.",
    reason: "Every partition that was named is answered.",
  },
];
