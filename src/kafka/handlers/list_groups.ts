/**
 * ListGroups (key 16), versions 0 to 5: the groups that this node coordinates.
 *
 * - v4: their states, and a filter by state. v5: their types, and a filter by type ("classic", "consumer").
 * - COORDINATOR_LOAD_IN_PROGRESS, together with the known groups, as long as one coordinator loads.
 *
 * Gaps: none.
 *
 * @module
 */

import { ErrorCode } from "../../wire/errors.ts";
import { LIST_GROUPS } from "../../wire/generated/apis.ts";
import type { ListGroupsRequest } from "../../wire/generated/list_groups_request.ts";
import {
  type ListGroupsResponse,
  newListGroupsResponse,
} from "../../wire/generated/list_groups_response.ts";
import type { Handler } from "../handler.ts";

export const LIST_GROUPS_HANDLER: Handler<ListGroupsRequest, ListGroupsResponse> = {
  api: LIST_GROUPS,
  minVersion: 0,
  maxVersion: 5,
  route: {
    kind: "split",
    split(request, { shardCount }) {
      return new Map(Array.from({ length: shardCount }, (_, shard) => [shard, request]));
    },
    merge: (_request, responses) => merge(responses),
  },
  // deno-lint-ignore require-yield -- groups are in memory.
  *handle(context, request) {
    const coordinators = [...context.services.groups.all()];
    return merge(coordinators.map((coordinator) => coordinator.listGroups(context, request)));
  },
};

function merge(responses: readonly ListGroupsResponse[]): ListGroupsResponse {
  const failed = responses.find((response) => response.errorCode !== ErrorCode.NONE);
  return newListGroupsResponse({
    errorCode: failed?.errorCode ?? ErrorCode.NONE,
    groups: responses.flatMap((response) => response.groups),
  });
}
