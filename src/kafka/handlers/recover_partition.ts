/**
 * RecoverPartition (key 20003, Gregor's own): a partition that lost its majority goes on with one of its replicas
 * (`cluster/recover_partition.ts`). Any node passes it on to the controller.
 *
 * - A majority of the replicas that can be reached: ELECTION_NOT_NEEDED. The node cannot be reached:
 *   BROKER_NOT_AVAILABLE. It has no replica: INVALID_REPLICA_ASSIGNMENT.
 *
 * @module
 */

import { recoverPartition } from "../../cluster/recover_partition.ts";
import { RECOVER_PARTITION } from "../../wire/generated/apis.ts";
import type { RecoverPartitionRequest } from "../../wire/generated/recover_partition_request.ts";
import {
  newRecoverPartitionResponse,
  type RecoverPartitionResponse,
} from "../../wire/generated/recover_partition_response.ts";
import { controllerRefusal, onController } from "../controller_answer.ts";
import { type Handler, ON_CONTROLLER } from "../handler.ts";

export const RECOVER_PARTITION_HANDLER: Handler<RecoverPartitionRequest, RecoverPartitionResponse> =
  {
    api: RECOVER_PARTITION,
    minVersion: 0,
    maxVersion: 0,
    route: ON_CONTROLLER,
    *handle({ services }, request) {
      const executed = yield* onController(
        services,
        (context) => recoverPartition(context, request),
      );
      const { error, message } = executed?.result ?? controllerRefusal(services);
      return newRecoverPartitionResponse({ errorCode: error, errorMessage: message });
    },
  };
