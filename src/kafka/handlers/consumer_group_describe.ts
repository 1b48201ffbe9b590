/**
 * ConsumerGroupDescribe (key 69), versions 0 and 1: groups whose coordinator assigns (KIP-848), with their members.
 *
 * - GROUP_ID_NOT_FOUND for a group that does not exist, or is a classic one.
 * - v1: whether a member speaks the classic protocol. Authorized operations are all there are when asked for.
 * - UNSUPPORTED_VERSION while the cluster works at a logical version without such groups.
 *
 * Gaps: there is no authorizer.
 *
 * @module
 */

import { CONSUMER_GROUPS_SINCE_VERSION } from "../../cluster/logical_version.ts";
import { ErrorCode } from "../../wire/errors.ts";
import { CONSUMER_GROUP_DESCRIBE } from "../../wire/generated/apis.ts";
import {
  type ConsumerGroupDescribeRequest,
  newConsumerGroupDescribeRequest,
} from "../../wire/generated/consumer_group_describe_request.ts";
import {
  type ConsumerGroupDescribeResponse,
  type DescribedGroup,
  newConsumerGroupDescribeResponse,
  newDescribedGroup,
} from "../../wire/generated/consumer_group_describe_response.ts";
import { GROUP_OPERATIONS, splitByGroup } from "../group_routes.ts";
import type { Handler, RequestContext } from "../handler.ts";
import { Once } from "./once.ts";

export const CONSUMER_GROUP_DESCRIBE_HANDLER: Handler<
  ConsumerGroupDescribeRequest,
  ConsumerGroupDescribeResponse
> = {
  api: CONSUMER_GROUP_DESCRIBE,
  minVersion: 0,
  maxVersion: 1,
  route: {
    kind: "split",
    split(request, services) {
      const { includeAuthorizedOperations } = request;
      const parts = splitByGroup(services, request.groupIds, (groupId) => groupId);
      return new Map(
        [...parts].map(([shard, groupIds]) => [
          shard,
          newConsumerGroupDescribeRequest({ groupIds, includeAuthorizedOperations }),
        ]),
      );
    },
    merge(request, responses) {
      const byId = new Map<string, DescribedGroup>();
      for (const { groups } of responses) {
        for (const group of groups) byId.set(group.groupId, group);
      }
      return newConsumerGroupDescribeResponse({
        groups: request.groupIds.map((groupId) => byId.get(groupId)!),
      });
    },
  },
  // deno-lint-ignore require-yield -- groups are in memory.
  *handle(context, request) {
    const described = new Once<DescribedGroup>();
    const groups = request.groupIds.map((groupId) =>
      described.of(groupId, () => {
        const group = describe(context, groupId);
        if (request.includeAuthorizedOperations && group.errorCode === ErrorCode.NONE) {
          group.authorizedOperations = GROUP_OPERATIONS;
        }
        return group;
      })
    );
    return newConsumerGroupDescribeResponse({ groups });
  },
};

function describe(context: RequestContext, groupId: string): DescribedGroup {
  const { image, groups } = context.services;
  if (image.logicalVersion < CONSUMER_GROUPS_SINCE_VERSION) {
    return newDescribedGroup({ groupId, errorCode: ErrorCode.UNSUPPORTED_VERSION });
  }
  if (groupId === "") return newDescribedGroup({ groupId, errorCode: ErrorCode.INVALID_GROUP_ID });
  return groups.coordinatorFor(groupId)?.describeConsumerGroup(context, groupId) ??
    newDescribedGroup({ groupId, errorCode: ErrorCode.NOT_COORDINATOR });
}
