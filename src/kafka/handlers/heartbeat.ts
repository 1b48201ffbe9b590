/**
 * Heartbeat (key 12), versions 0 to 4: a member lives, and learns whether it must join again.
 *
 * - REBALANCE_IN_PROGRESS while members join.
 * - While the coordinator loads the answer is success, as Kafka's.
 * - v3: static members.
 *
 * Gaps: none.
 *
 * @module
 */

import { until } from "../../io/task.ts";
import { ErrorCode } from "../../wire/errors.ts";
import { HEARTBEAT } from "../../wire/generated/apis.ts";
import type { HeartbeatRequest } from "../../wire/generated/heartbeat_request.ts";
import {
  type HeartbeatResponse,
  newHeartbeatResponse,
} from "../../wire/generated/heartbeat_response.ts";
import { ON_GROUP_SHARD } from "../group_routes.ts";
import type { Handler } from "../handler.ts";

export const HEARTBEAT_HANDLER: Handler<HeartbeatRequest, HeartbeatResponse> = {
  api: HEARTBEAT,
  minVersion: 0,
  maxVersion: 4,
  route: ON_GROUP_SHARD,
  *handle(context, request) {
    const coordinator = context.services.groups.coordinatorFor(request.groupId);
    if (coordinator === null) {
      return newHeartbeatResponse({ errorCode: ErrorCode.NOT_COORDINATOR });
    }
    return yield* until<HeartbeatResponse>((respond) =>
      coordinator.heartbeat(context, request, respond)
    );
  },
};
