/**
 * SyncGroup (key 14), versions 0 to 5: the leader brings the assignment, everybody gets its part.
 *
 * - The answer waits until the assignment is committed.
 * - v3: static members. v5: INCONSISTENT_GROUP_PROTOCOL when type or name are not the group's.
 *
 * Gaps: none.
 *
 * @module
 */

import { until } from "../../io/task.ts";
import { ErrorCode } from "../../wire/errors.ts";
import { SYNC_GROUP } from "../../wire/generated/apis.ts";
import type { SyncGroupRequest } from "../../wire/generated/sync_group_request.ts";
import {
  newSyncGroupResponse,
  type SyncGroupResponse,
} from "../../wire/generated/sync_group_response.ts";
import { ON_GROUP_SHARD } from "../group_routes.ts";
import type { Handler } from "../handler.ts";

/** First version that has to say which protocol it is about. */
const NAMED_VERSION = 5;

export const SYNC_GROUP_HANDLER: Handler<SyncGroupRequest, SyncGroupResponse> = {
  api: SYNC_GROUP,
  minVersion: 0,
  maxVersion: 5,
  route: ON_GROUP_SHARD,
  *handle(context, request) {
    const { protocolType, protocolName } = request;
    if (context.version >= NAMED_VERSION && (protocolType === null || protocolName === null)) {
      return newSyncGroupResponse({ errorCode: ErrorCode.INCONSISTENT_GROUP_PROTOCOL });
    }
    const coordinator = context.services.groups.coordinatorFor(request.groupId);
    if (coordinator === null) {
      return newSyncGroupResponse({ errorCode: ErrorCode.NOT_COORDINATOR });
    }
    return yield* until<SyncGroupResponse>((respond) =>
      coordinator.syncGroup(context, request, respond)
    );
  },
};
