/**
 * What a command of the controller works with, and what it answers.
 *
 * A command is a function that reads the image, checks what it was asked, and *emits* records. Each
 * emitted record is replayed into the controller's own image at once, so that the next topic of the
 * same request, and the next command, see it before it is committed; the response leaves after the
 * commit (`controller_service.ts`).
 *
 * @module
 */

import type { Random } from "../base/prng.ts";
import { ErrorCode } from "../wire/errors.ts";
import type { ClusterImage } from "./image.ts";
import type { MetadataRecord } from "./records.ts";

/** Most partitions that one request may create (Kafka's limit of records per operation). */
export const PARTITIONS_PER_REQUEST_MAX = 10_000;
/** Most configuration values that one request may change. */
export const CONFIGS_PER_REQUEST_MAX = 10_000;

/** What the operator allows and presets. */
export interface ControllerOptions {
  /** Partitions of a topic that does not say how many (`num.partitions`). */
  readonly defaultPartitions: number;
  /** Replicas of a topic that does not say how many (`default.replication.factor`). */
  readonly defaultReplicationFactor: number;
  /** Most partition replicas on one node; memory and recovery time are sized for it. */
  readonly partitionsPerNodeMax: number;
  /** Whether clients may delete topics (`delete.topic.enable`). */
  readonly deleteTopicEnabled: boolean;
}

export interface CommandContext {
  /** The committed state and what is on its way to be committed. */
  readonly image: ClusterImage;
  readonly options: ControllerOptions;
  readonly random: Random;
  /** Makes `record` part of the command. */
  emit(record: MetadataRecord): void;
}

/** The result for one topic or resource of a request. */
export interface Outcome {
  readonly error: ErrorCode;
  /** For people; null when there was no error. */
  readonly message: string | null;
}

export const SUCCESS: Outcome = { error: ErrorCode.NONE, message: null };

export function refuse(error: ErrorCode, message: string): Outcome {
  return { error, message };
}
