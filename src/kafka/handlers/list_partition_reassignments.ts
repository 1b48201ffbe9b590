/**
 * ListPartitionReassignments (key 46), version 0: moves of replicas that are under way.
 *
 * Replicas are not moved yet, so that there are never any; tools ask when they describe topics.
 *
 * @module
 */

import { LIST_PARTITION_REASSIGNMENTS } from "../../wire/generated/apis.ts";
import type { ListPartitionReassignmentsRequest } from "../../wire/generated/list_partition_reassignments_request.ts";
import {
  type ListPartitionReassignmentsResponse,
  newListPartitionReassignmentsResponse,
} from "../../wire/generated/list_partition_reassignments_response.ts";
import { type Handler, LOCAL } from "../handler.ts";

export const LIST_PARTITION_REASSIGNMENTS_HANDLER: Handler<
  ListPartitionReassignmentsRequest,
  ListPartitionReassignmentsResponse
> = {
  api: LIST_PARTITION_REASSIGNMENTS,
  minVersion: 0,
  maxVersion: 0,
  route: LOCAL,
  // deno-lint-ignore require-yield -- answered at once.
  *handle() {
    return newListPartitionReassignmentsResponse({ errorMessage: null });
  },
};
