/**
 * DeleteGroups (key 42), versions 0 to 3: groups without members are forgotten, offsets included.
 *
 * - GROUP_ID_NOT_FOUND, NON_EMPTY_GROUP for each group; the answer waits for the commits.
 * - v3: a message beside the error.
 *
 * Gaps: none.
 *
 * @module
 */

import { all, type Task, until } from "../../io/task.ts";
import { ErrorCode, errorInfo } from "../../wire/errors.ts";
import { DELETE_GROUPS } from "../../wire/generated/apis.ts";
import {
  type DeleteGroupsRequest,
  newDeleteGroupsRequest,
} from "../../wire/generated/delete_groups_request.ts";
import {
  type DeletableGroupResult,
  type DeleteGroupsResponse,
  newDeletableGroupResult,
  newDeleteGroupsResponse,
} from "../../wire/generated/delete_groups_response.ts";
import { splitByGroup } from "../group_routes.ts";
import type { Handler, RequestContext } from "../handler.ts";

/** Groups of one request that are being deleted at once. */
const GROUPS_AT_ONCE = 100;

export const DELETE_GROUPS_HANDLER: Handler<DeleteGroupsRequest, DeleteGroupsResponse> = {
  api: DELETE_GROUPS,
  minVersion: 0,
  maxVersion: 3,
  route: {
    kind: "split",
    split(request, services) {
      const parts = splitByGroup(services, request.groupsNames, (groupId) => groupId);
      return new Map(
        [...parts].map(([shard, groupsNames]) => [shard, newDeleteGroupsRequest({ groupsNames })]),
      );
    },
    merge(request, responses) {
      const byId = new Map<string, DeletableGroupResult>();
      for (const { results } of responses) {
        for (const result of results) byId.set(result.groupId, result);
      }
      const results = [...new Set(request.groupsNames)].map((groupId) => byId.get(groupId)!);
      return newDeleteGroupsResponse({ results });
    },
  },
  *handle(context, request) {
    const tasks = [...new Set(request.groupsNames)].map((groupId) => remove(context, groupId));
    return newDeleteGroupsResponse({ results: yield* all(tasks, GROUPS_AT_ONCE) });
  },
};

function* remove(context: RequestContext, groupId: string): Task<DeletableGroupResult> {
  const coordinator = context.services.groups.coordinatorFor(groupId);
  const result = coordinator === null
    ? newDeletableGroupResult({ groupId, errorCode: ErrorCode.NOT_COORDINATOR })
    : yield* until<DeletableGroupResult>((respond) =>
      coordinator.deleteGroup(context, groupId, respond)
    );
  if (result.errorCode !== ErrorCode.NONE) {
    result.errorMessage = errorInfo(result.errorCode).message;
  }
  return result;
}
