/**
 * AddOffsetsToTxn (key 25), versions 0 to 4: a group's partition of `__consumer_offsets` becomes part of a producer's
 * transaction. The topic is created if need be.
 *
 * - Errors as in AddPartitionsToTxn. INVALID_GROUP_ID: the group has no name.
 *
 * Gaps: none.
 *
 * @module
 */

import { OFFSETS_TOPIC } from "../../cluster/topic_names.ts";
import { groupPartition } from "../../group/group_partition.ts";
import { until } from "../../io/task.ts";
import { ErrorCode } from "../../wire/errors.ts";
import { ADD_OFFSETS_TO_TXN } from "../../wire/generated/apis.ts";
import type { AddOffsetsToTxnRequest } from "../../wire/generated/add_offsets_to_txn_request.ts";
import {
  type AddOffsetsToTxnResponse,
  newAddOffsetsToTxnResponse,
} from "../../wire/generated/add_offsets_to_txn_response.ts";
import type { Handler } from "../handler.ts";
import { createOnDemand } from "../topic_creation.ts";
import { fencedErrorOf, ON_TRANSACTION_SHARD } from "../transaction_routes.ts";

/** First version with PRODUCER_FENCED. */
const FENCED_SINCE = 2;

export const ADD_OFFSETS_TO_TXN_HANDLER: Handler<AddOffsetsToTxnRequest, AddOffsetsToTxnResponse> =
  {
    api: ADD_OFFSETS_TO_TXN,
    minVersion: 0,
    maxVersion: 4,
    route: ON_TRANSACTION_SHARD,
    *handle(context, request) {
      const { services, version } = context;
      const { transactionalId, groupId } = request;
      if (transactionalId === "") return refused(ErrorCode.INVALID_REQUEST);
      if (groupId === "") return refused(ErrorCode.INVALID_GROUP_ID);
      if (services.image.topicByName(OFFSETS_TOPIC) === undefined) {
        yield* createOnDemand(services, [OFFSETS_TOPIC]);
      }
      const count = services.image.topicByName(OFFSETS_TOPIC)?.partitions.length ?? 0;
      const coordinator = services.transactions.coordinatorFor(transactionalId);
      if (count === 0) return refused(ErrorCode.COORDINATOR_NOT_AVAILABLE);
      const refusal = coordinator?.refusal ?? ErrorCode.NOT_COORDINATOR;
      if (coordinator === null || refusal !== ErrorCode.NONE) return refused(refusal);
      const added = new Map([[OFFSETS_TOPIC, new Set([groupPartition(groupId, count)])]]);
      const errorCode = yield* until<number>((respond) =>
        coordinator.addPartitions(context, request, added, 0, respond)
      );
      return refused(fencedErrorOf(errorCode, version >= FENCED_SINCE));
    },
  };

function refused(errorCode: number): AddOffsetsToTxnResponse {
  return newAddOffsetsToTxnResponse({ errorCode });
}
