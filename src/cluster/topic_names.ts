/**
 * Which names a topic may have, and which topics are the broker's own.
 *
 * @module
 */

/** Longest topic name (characters; a segment directory's name must still fit a file name). */
export const TOPIC_NAME_LENGTH_MAX = 249;

/** Committed offsets and group metadata. */
export const OFFSETS_TOPIC = "__consumer_offsets";
/** Transaction states. */
export const TRANSACTIONS_TOPIC = "__transaction_state";
/** State of share groups. */
export const SHARE_STATE_TOPIC = "__share_group_state";
/** Kafka's metadata log; Gregor's is not a topic, but nobody may take the name. */
export const METADATA_TOPIC = "__cluster_metadata";

const LEGAL_NAME = /^[a-zA-Z0-9._-]+$/;

/** Whether the topic is written by coordinators, not by clients. */
export function isInternalTopic(name: string): boolean {
  return name === OFFSETS_TOPIC || name === TRANSACTIONS_TOPIC || name === SHARE_STATE_TOPIC;
}

/** Says what is wrong with a topic's name, in Kafka's words; null when nothing is. */
export function topicNameProblem(name: string): string | null {
  const problem = nameProblem(name);
  return problem === null ? null : `Topic name is invalid: ${problem}`;
}

function nameProblem(name: string): string | null {
  if (name.length === 0) return "the empty string is not allowed";
  if (name === "." || name === "..") return `'${name}' is not allowed`;
  if (name.length > TOPIC_NAME_LENGTH_MAX) {
    return `the length of '${name}' is longer than the max allowed length ${TOPIC_NAME_LENGTH_MAX}`;
  }
  if (!LEGAL_NAME.test(name)) {
    return `'${name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'`;
  }
  return null;
}

/**
 * Names that differ only in '.' and '_' collide: metric names cannot distinguish them, and tools of
 * Kafka's world replace one by the other. Two names collide when this is equal.
 */
export function collisionKey(name: string): string {
  return name.replaceAll(".", "_");
}
