/**
 * ConsumerGroupHeartbeat (key 68), versions 0 and 1: a member of a group whose coordinator assigns (KIP-848) says what it
 * reads and has, and learns what it is to have.
 *
 * - The answer comes when what it says is committed (`src/group/consumer/heartbeat.ts`).
 * - v0: a member without an id is given one. v1: members make their ids; regular expressions.
 * - UNSUPPORTED_VERSION while the cluster works at a logical version without such groups, as Kafka's with group.version 0.
 *
 * Gaps: there is no authorizer.
 *
 * @module
 */

import { CONSUMER_GROUPS_SINCE_VERSION } from "../../cluster/logical_version.ts";
import { until } from "../../io/task.ts";
import { ErrorCode } from "../../wire/errors.ts";
import { CONSUMER_GROUP_HEARTBEAT } from "../../wire/generated/apis.ts";
import type { ConsumerGroupHeartbeatRequest } from "../../wire/generated/consumer_group_heartbeat_request.ts";
import {
  type ConsumerGroupHeartbeatResponse,
  newConsumerGroupHeartbeatResponse,
} from "../../wire/generated/consumer_group_heartbeat_response.ts";
import { ON_GROUP_SHARD } from "../group_routes.ts";
import type { Handler } from "../handler.ts";

export const CONSUMER_GROUP_HEARTBEAT_HANDLER: Handler<
  ConsumerGroupHeartbeatRequest,
  ConsumerGroupHeartbeatResponse
> = {
  api: CONSUMER_GROUP_HEARTBEAT,
  minVersion: 0,
  maxVersion: 1,
  route: ON_GROUP_SHARD,
  *handle(context, request) {
    const { image, groups } = context.services;
    if (image.logicalVersion < CONSUMER_GROUPS_SINCE_VERSION) {
      return newConsumerGroupHeartbeatResponse({ errorCode: ErrorCode.UNSUPPORTED_VERSION });
    }
    const coordinator = groups.coordinatorFor(request.groupId);
    // What a coordinator says that another one has replaced would keep a member in partitions that are not its own.
    if (coordinator === null || !groups.isInTouch(request.groupId)) {
      return newConsumerGroupHeartbeatResponse({ errorCode: ErrorCode.NOT_COORDINATOR });
    }
    return yield* until<ConsumerGroupHeartbeatResponse>((respond) =>
      coordinator.consumerHeartbeat(context, request, respond)
    );
  },
};
