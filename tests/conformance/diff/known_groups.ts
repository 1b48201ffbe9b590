/**
 * Differences that are meant: producers' and consumers' coordinators.
 *
 * @module
 */

import type { KnownDifference } from "./known.ts";

/** Requests for a group that both refuse. */
const REFUSED =
  /"committedMetadata":"\$c~(?:4097|5000)"|"JoinGroup".*"(?:protocolType":""|protocols":\[\])/;

/** A request that brings a regular expression, now or before. */
const BY_REGEX = /"subscribedTopicRegex":"[^"]/;

/** A member of the new protocol came to a classic group, and left it. */
const CAME_AND_WENT =
  /"memberId":"%0:memberId%".*"ConsumerGroupHeartbeat".*(?:"memberEpoch":-1|LeaveGroup)/;

export const KNOWN_GROUPS: readonly KnownDifference[] = [
  {
    apis: ["Heartbeat", "SyncGroup", "OffsetCommit"],
    path: /^(?:topics\[\]\.partitions\[\]\.)?errorCode$/,
    kafka: /^22$/,
    gregor: /^(?:27|0)$/,
    after: CAME_AND_WENT,
    asked: "Of a classic member whose group had members of the new protocol, and has no more.",
    kafkaDoes: "ILLEGAL_GENERATION: the generation is one that no member was told.",
    gregorDoes:
      "REBALANCE_IN_PROGRESS, and takes commits of the generation that the members know until it ends.",
    reason: "The member joins again without losing its partitions first.",
  },
  {
    apis: ["JoinGroup", "ConsumerGroupDescribe"],
    path: /^(?:groups\[\]\.members\[\]\.)?memberId$/,
    kafka: /^"[\w-]{22}"$/,
    gregor: /<uuid>"$/,
    after: /"ConsumerGroupHeartbeat"/,
    asked: "The id that a classic member gets in a group of the new protocol.",
    kafkaDoes: "A random one.",
    gregorDoes: "The client's name and a random one, as in classic groups.",
    reason: "It says more to people, and clients take any.",
    byChance: true,
  },
  {
    apis: ["ConsumerGroupHeartbeat"],
    path: /^errorMessage$/,
    kafka: /is not a valid regular expression/,
    gregor: /is not a valid regular expression/,
    asked: "To read by a text that is no regular expression.",
    kafkaDoes: "Says why, in the words of its library.",
    gregorDoes: "Says why, in the words of its own.",
    reason: "They are for people.",
  },
  {
    apis: ["ConsumerGroupHeartbeat"],
    path: /^(?:memberEpoch|assignment.*)$/,
    request: BY_REGEX,
    endsCase: true,
    asked: "To read by a regular expression that no member had.",
    kafkaDoes: "Looks it up in the background: its topics count with a later heartbeat.",
    gregorDoes: "Looks it up at once.",
    reason: "The member has its partitions a heartbeat earlier; the work is bounded.",
  },
  {
    apis: ["ConsumerGroupHeartbeat", "ConsumerGroupDescribe"],
    path: /^(?:memberEpoch|assignment.*|groups.*)$/,
    after: BY_REGEX,
    asked: "What comes after a member that reads by a regular expression.",
    kafkaDoes: "Has looked it up, or not yet.",
    gregorDoes: "Has looked it up.",
    reason: "As above.",
    byChance: true,
  },
  {
    apis: ["JoinGroup"],
    path: /^(?:errorCode|memberId)$/,
    kafka: /^(?:-1|"")$/,
    gregor: /^(?:25|".+")$/,
    request: /"memberId":"%.*"groupInstanceId":"/,
    asked:
      "A static member joins with an id that was given to a dynamic one, which has not come back with it.",
    kafkaDoes: "UNKNOWN_SERVER_ERROR.",
    gregorDoes: "UNKNOWN_MEMBER_ID.",
    reason: "After this error the client joins with a new id.",
  },
  {
    apis: ["DescribeGroups"],
    path: /^groups\[\]\.(?:errorCode|errorMessage|groupState)$/,
    gregor: /^69$|not found|"Dead"/,
    kafka: /^0$|null|"Empty"/,
    after: REFUSED,
    asked: "A group after a JoinGroup that was refused for its protocols, or a refused commit.",
    kafkaDoes: "There is an empty group.",
    gregorDoes: "There is none.",
    reason: "A refused request leaves no group.",
  },
  {
    apis: ["DeleteGroups"],
    path: /^results\[\]\.errorMessage$/,
    kafka: /^null$/,
    gregor: /^"/,
    asked: "To delete a group that does not exist, or that has members.",
    kafkaDoes: "No text.",
    gregorDoes: "A text.",
    reason: "It helps, and no client depends on its absence.",
  },
  {
    apis: ["DeleteGroups"],
    path: /^results\[\]\.errorCode$/,
    kafka: /^0$/,
    gregor: /^69$/,
    after: REFUSED,
    asked: "To delete a group of which there was only a refused request.",
    kafkaDoes: "Deletes an empty group.",
    gregorDoes: "GROUP_ID_NOT_FOUND.",
    reason: "A refused request leaves no group.",
  },
  {
    apis: ["OffsetDelete"],
    path: /^(?:errorCode|topics(?:\{.*\})?)$/,
    kafka: /^0$|"partitions":\[/,
    gregor: /^(?:69|null|\[\])$/,
    after: REFUSED,
    asked: "To delete offsets of a group of which there was only a refused request.",
    kafkaDoes: "There is an empty group.",
    gregorDoes: "GROUP_ID_NOT_FOUND.",
    reason: "A refused request leaves no group.",
    byChance: true,
  },
  {
    apis: ["ListGroups"],
    path: /^groups$/,
    kafka: /"protocolType":""/,
    after: REFUSED,
    asked: "The groups, after a refused request for one that there was not.",
    kafkaDoes: "Lists an empty group.",
    gregorDoes: "Lists none.",
    reason: "A refused request leaves no group.",
    byChance: true,
  },
];
