/**
 * LeaveGroup (key 13), versions 0 to 5: members leave, so that nobody waits for their sessions to end.
 *
 * - v0 to v2: one member and one error. v3: any number, static ones by instance id alone (an
 *   operator removes them so), each with an error of its own.
 *
 * Gaps: the reason (v5) is not kept.
 *
 * @module
 */

import { until } from "../../io/task.ts";
import { ErrorCode } from "../../wire/errors.ts";
import { LEAVE_GROUP } from "../../wire/generated/apis.ts";
import type { LeaveGroupRequest } from "../../wire/generated/leave_group_request.ts";
import {
  type LeaveGroupResponse,
  newLeaveGroupResponse,
} from "../../wire/generated/leave_group_response.ts";
import { ON_GROUP_SHARD } from "../group_routes.ts";
import type { Handler } from "../handler.ts";

export const LEAVE_GROUP_HANDLER: Handler<LeaveGroupRequest, LeaveGroupResponse> = {
  api: LEAVE_GROUP,
  minVersion: 0,
  maxVersion: 5,
  route: ON_GROUP_SHARD,
  *handle(context, request) {
    const coordinator = context.services.groups.coordinatorFor(request.groupId);
    if (coordinator === null) {
      return newLeaveGroupResponse({ errorCode: ErrorCode.NOT_COORDINATOR });
    }
    return yield* until<LeaveGroupResponse>((respond) =>
      coordinator.leaveGroup(context, request, respond)
    );
  },
};
