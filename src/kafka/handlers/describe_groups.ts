/**
 * DescribeGroups (key 15), versions 0 to 6: groups with their members.
 *
 * - Members' metadata and assignments are shown only for stable groups.
 * - A group that does not exist is "Dead" without an error; from v6 on GROUP_ID_NOT_FOUND.
 * - v3: authorized operations are all there are when asked for. v4: static members' instance ids.
 *
 * Gaps: there is no authorizer.
 *
 * @module
 */

import { ErrorCode } from "../../wire/errors.ts";
import { DESCRIBE_GROUPS } from "../../wire/generated/apis.ts";
import {
  type DescribeGroupsRequest,
  newDescribeGroupsRequest,
} from "../../wire/generated/describe_groups_request.ts";
import {
  type DescribedGroup,
  type DescribeGroupsResponse,
  newDescribedGroup,
  newDescribeGroupsResponse,
} from "../../wire/generated/describe_groups_response.ts";
import { Once } from "./once.ts";
import { GROUP_OPERATIONS, splitByGroup } from "../group_routes.ts";
import type { Handler, RequestContext } from "../handler.ts";

export const DESCRIBE_GROUPS_HANDLER: Handler<DescribeGroupsRequest, DescribeGroupsResponse> = {
  api: DESCRIBE_GROUPS,
  minVersion: 0,
  maxVersion: 6,
  route: {
    kind: "split",
    split(request, services) {
      const { includeAuthorizedOperations } = request;
      const parts = splitByGroup(services, request.groups, (groupId) => groupId);
      return new Map(
        [...parts].map(([shard, groups]) => [
          shard,
          newDescribeGroupsRequest({ groups, includeAuthorizedOperations }),
        ]),
      );
    },
    merge(request, responses) {
      const byId = new Map<string, DescribedGroup>();
      for (const { groups } of responses) {
        for (const group of groups) byId.set(group.groupId, group);
      }
      return newDescribeGroupsResponse({
        groups: request.groups.map((groupId) => byId.get(groupId)!),
      });
    },
  },
  // deno-lint-ignore require-yield -- groups are in memory.
  *handle(context, request) {
    const described = new Once<DescribedGroup>();
    const groups = request.groups.map((groupId) =>
      described.of(groupId, () => {
        const group = describe(context, groupId);
        if (request.includeAuthorizedOperations && group.errorCode === ErrorCode.NONE) {
          group.authorizedOperations = GROUP_OPERATIONS;
        }
        return group;
      })
    );
    return newDescribeGroupsResponse({ groups });
  },
};

function describe(context: RequestContext, groupId: string): DescribedGroup {
  const coordinator = context.services.groups.coordinatorFor(groupId);
  return coordinator?.describeGroup(context, groupId) ??
    newDescribedGroup({ groupId, errorCode: ErrorCode.NOT_COORDINATOR });
}
