/**
 * Deleting topics, by name or by id.
 *
 * Internal topics are refused: deleting `__consumer_offsets` under running coordinators would lose
 * every group's positions. (Kafka leaves that to its authorizer; this is the answer that it gives to
 * somebody without the right.)
 *
 * @module
 */

import { ErrorCode, errorInfo } from "../wire/errors.ts";
import { type Uuid, ZERO_UUID } from "../wire/uuid.ts";
import {
  type CommandContext,
  epochFloorNow,
  type Outcome,
  refuse,
  SUCCESS,
  tooLarge,
} from "./command.ts";
import type { TopicImage } from "./image.ts";
import { RecordType } from "./records.ts";

/** Names one topic: exactly one of the two is given, a null name or an all-zero id is none. */
export interface TopicReference {
  readonly name: string | null;
  readonly topicId: Uuid;
}

export interface DeleteTopicResult extends Outcome, TopicReference {}

/** Deletes `topics`, each of which succeeds or fails alone. */
export function deleteTopics(
  context: CommandContext,
  topics: readonly TopicReference[],
): DeleteTopicResult[] {
  const results: DeleteTopicResult[] = [];
  const duplicates = duplicateKeys(topics);
  const answeredDuplicates = new Set<string>();
  const deletedHere = new Set<TopicImage>();
  for (const reference of topics) {
    const key = keyOf(reference);
    if (duplicates.has(key)) {
      if (answeredDuplicates.has(key)) continue;
      answeredDuplicates.add(key);
      const message = reference.name === null ? "Duplicate topic id." : "Duplicate topic name.";
      results.push({ ...refuse(ErrorCode.INVALID_REQUEST, message), ...reference });
      continue;
    }
    results.push(deleteTopic(context, reference, deletedHere));
  }
  return results;
}

function deleteTopic(
  context: CommandContext,
  reference: TopicReference,
  deletedHere: Set<TopicImage>,
): DeleteTopicResult {
  const { name, topicId } = reference;
  const byId = topicId !== ZERO_UUID;
  if (name === null && !byId) {
    const message = "Neither topic name nor id were specified.";
    return { ...refuse(ErrorCode.INVALID_REQUEST, message), ...reference };
  }
  if (name !== null && byId) {
    const message = "You may not specify both topic name and topic id.";
    return { ...refuse(ErrorCode.INVALID_REQUEST, message), ...reference };
  }
  if (!context.image.settings.boolean("delete.topic.enable")) {
    const message = "deleting topics is switched off (delete.topic.enable)";
    return { ...refuse(ErrorCode.TOPIC_DELETION_DISABLED, message), ...reference };
  }
  for (const deleted of deletedHere) {
    if (deleted.name !== name && deleted.id !== topicId) continue;
    const message = "the request names this topic by name and by id";
    return { ...refuse(ErrorCode.INVALID_REQUEST, message), ...reference };
  }
  const topic = name === null ? context.image.topicById(topicId) : context.image.topicByName(name);
  if (topic === undefined) {
    const error = name === null ? ErrorCode.UNKNOWN_TOPIC_ID : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION;
    return { ...refuse(error, errorInfo(error).message), ...reference };
  }
  if (topic.internal) {
    const message = `topic '${topic.name}' is internal and cannot be deleted`;
    const outcome = refuse(ErrorCode.TOPIC_AUTHORIZATION_FAILED, message);
    return { ...outcome, name: topic.name, topicId: topic.id };
  }
  const epochFloor = epochFloorNow(context);
  const removed = { type: RecordType.TOPIC_REMOVED, body: { topicId: topic.id, epochFloor } };
  if (!context.emit([removed])) return { ...tooLarge(), name: topic.name, topicId: topic.id };
  deletedHere.add(topic);
  return { ...SUCCESS, name: topic.name, topicId: topic.id };
}

function keyOf(reference: TopicReference): string {
  return `${reference.name ?? ""}/${reference.topicId}`;
}

function duplicateKeys(topics: readonly TopicReference[]): Set<string> {
  const seen = new Set<string>();
  const duplicates = new Set<string>();
  for (const reference of topics) {
    const key = keyOf(reference);
    // A reference to nothing, or by both, gets that error each time that it occurs.
    if ((reference.name === null) === (reference.topicId === ZERO_UUID)) continue;
    if (seen.has(key)) duplicates.add(key);
    seen.add(key);
  }
  return duplicates;
}
