/**
 * The input of a controller's command, and its answer.
 *
 * A command is a function that reads the image, checks what it was asked, and *emits* records. Each
 * emitted record is replayed into the controller's own image at once, so that the next topic of the
 * same request, and the next command, see it before it is committed; the response is sent after the
 * commit (`controller_service.ts`).
 *
 * @module
 */

import type { Random } from "../base/prng.ts";
import { ErrorCode } from "../wire/errors.ts";
import type { ClusterImage } from "./image.ts";
import { COMMAND_BYTES_MAX, EPOCH_FLOOR_MAX, type MetadataRecord } from "./records.ts";

/** Most partitions that one request may create (Kafka's limit of records per operation). */
export const PARTITIONS_PER_REQUEST_MAX = 10_000;
/**
 * Most partition replicas on one node: the metadata, the checkpoint and the recovery of a node are sized
 * for it, and its shards' open files and memory follow from it.
 */
export const PARTITIONS_PER_NODE_MAX = 40_000;
/** Longest value of a configuration (bytes of UTF-8; the encoding's limit). */
export const CONFIG_VALUE_BYTES_MAX = 32_767;

export interface CommandContext {
  /** The committed state and what is on its way to be committed. */
  readonly image: ClusterImage;
  /** Most replicas on one node; its memory and its recovery time are sized for them. */
  readonly partitionsPerNodeMax: number;
  readonly random: Random;
  /** Whether a node can be reached: new partitions go to others only where there are not enough that can. */
  readonly isAlive: (nodeId: number) => boolean;
  /** The largest leader epoch of any partition, as far as was heard. */
  readonly latestEpoch: () => number;
  /** Makes `records` part of the command, all of them or, when it would become too large, none. */
  emit(records: readonly MetadataRecord[]): boolean;
}

/** Elections of a partition of which the controller may not have heard. */
const EPOCHS_UNHEARD = 8;

/**
 * Above the leader epochs of all partitions: where one begins again, clients must not take it for what it was before.
 *
 * @param unheard further epochs that may be known to nobody
 */
export function epochFloorNow({ image, latestEpoch }: CommandContext, unheard = 0): number {
  const floor = Math.max(image.epochFloor, latestEpoch() + EPOCHS_UNHEARD) + unheard;
  // Where peers count like that, there is nothing left to pass by.
  return Math.min(EPOCH_FLOOR_MAX, floor);
}

/** The result for one topic or resource of a request. */
export interface Outcome {
  readonly error: ErrorCode;
  /** For people; null when there was no error. */
  readonly message: string | null;
}

/** The request asks for more than one command can hold. */
export function tooLarge(): Outcome {
  const message =
    `the request changes more metadata at once than ${COMMAND_BYTES_MAX} bytes can say`;
  return refuse(ErrorCode.POLICY_VIOLATION, message);
}

export const SUCCESS: Outcome = { error: ErrorCode.NONE, message: null };

/** @param message null where Kafka's clients have a text of their own for the error */
export function refuse(error: ErrorCode, message: string | null): Outcome {
  return { error, message };
}
