/**
 * JoinGroup (key 11), versions 0 to 9: a member takes part in the next generation of a classic group.
 *
 * - The answer waits until everybody has joined (`src/group/rebalance.ts`).
 * - v0: the session timeout is the rebalance timeout too.
 * - v4: a dynamic member is sent back with its id first (MEMBER_ID_REQUIRED, KIP-394).
 * - v5: static members (KIP-345).
 * - v7: the protocol type in the answer; names may be null.
 * - v9: a static leader that takes its predecessor's place need not assign (KIP-814).
 *
 * Gaps: the reason (v8) is not kept.
 *
 * @module
 */

import { refusedJoin } from "../../group/join.ts";
import { until } from "../../io/task.ts";
import { ErrorCode } from "../../wire/errors.ts";
import { JOIN_GROUP } from "../../wire/generated/apis.ts";
import type { JoinGroupRequest } from "../../wire/generated/join_group_request.ts";
import type { JoinGroupResponse } from "../../wire/generated/join_group_response.ts";
import { ON_GROUP_SHARD } from "../group_routes.ts";
import type { Handler } from "../handler.ts";

export const JOIN_GROUP_HANDLER: Handler<JoinGroupRequest, JoinGroupResponse> = {
  api: JOIN_GROUP,
  minVersion: 0,
  maxVersion: 9,
  route: ON_GROUP_SHARD,
  *handle(context, request) {
    const coordinator = context.services.groups.coordinatorFor(request.groupId);
    if (coordinator === null) {
      return refusedJoin(context.version, request.memberId, ErrorCode.NOT_COORDINATOR);
    }
    return yield* until<JoinGroupResponse>((respond) =>
      coordinator.joinGroup(context, request, respond)
    );
  },
};
