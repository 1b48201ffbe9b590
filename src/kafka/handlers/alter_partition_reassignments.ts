/**
 * AlterPartitionReassignments (key 45), versions 0 and 1: other replicas for partitions, or (null) back to what there was
 * before the change that is under way.
 *
 * - Each partition succeeds or fails alone; the answer waits for the commit, not for the change itself.
 * - The new replicas get a copy of the log first, as learners of the group; then all members change at once. The replicas
 *   that are left delete their logs when that is decided.
 * - v1: `allowReplicationFactorChange` false refuses another number of replicas: INVALID_REPLICATION_FACTOR.
 * - A change that is taken back, or replaced by another one, ends when the group has gone back: until then the replicas
 *   that are not wanted any more are listed as being removed.
 *
 * Gaps: the request's timeout is ignored.
 *
 * @module
 */

import { alterReplicas } from "../../cluster/reassign.ts";
import { ErrorCode } from "../../wire/errors.ts";
import { ALTER_PARTITION_REASSIGNMENTS } from "../../wire/generated/apis.ts";
import type { AlterPartitionReassignmentsRequest } from "../../wire/generated/alter_partition_reassignments_request.ts";
import {
  type AlterPartitionReassignmentsResponse,
  newAlterPartitionReassignmentsResponse,
} from "../../wire/generated/alter_partition_reassignments_response.ts";
import { controllerRefusal, onController } from "../controller_answer.ts";
import { type Handler, ON_CONTROLLER } from "../handler.ts";

export const ALTER_PARTITION_REASSIGNMENTS_HANDLER: Handler<
  AlterPartitionReassignmentsRequest,
  AlterPartitionReassignmentsResponse
> = {
  api: ALTER_PARTITION_REASSIGNMENTS,
  minVersion: 0,
  maxVersion: 1,
  route: ON_CONTROLLER,
  *handle({ services, version }, { topics, allowReplicationFactorChange }) {
    // Kafka has an empty text here, and null in every other answer without an error.
    if (topics.length === 0) return newAlterPartitionReassignmentsResponse({ errorMessage: "" });
    const allowsOtherCount = version === 0 || allowReplicationFactorChange;
    const executed = yield* onController(
      services,
      (command) =>
        topics.map(({ name, partitions }) => ({
          name,
          partitions: partitions.map(({ partitionIndex, replicas }) => {
            const wanted = { topic: name, index: partitionIndex, replicas };
            const { error, message } = alterReplicas(command, wanted, allowsOtherCount);
            return { partitionIndex, errorCode: error, errorMessage: message };
          }),
        })),
    );
    if (executed === null) {
      const { error, message } = controllerRefusal(services);
      return newAlterPartitionReassignmentsResponse({ errorCode: error, errorMessage: message });
    }
    return newAlterPartitionReassignmentsResponse({
      errorCode: ErrorCode.NONE,
      errorMessage: null,
      allowReplicationFactorChange,
      responses: executed.result,
    });
  },
};
