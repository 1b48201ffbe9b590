/**
 * Data that consumers exchange through the coordinator: subscriptions inside of JoinGroup,
 * assignments inside of SyncGroup. The broker looks into the former for its topics.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { Cursor } from "../../../../src/bytes/cursor.ts";
import { topicsOfSubscription } from "../../../../src/group/subscription.ts";
import { JOIN_GROUP } from "../../../../src/wire/generated/apis.ts";
import { decodeConsumerProtocolAssignment } from "../../../../src/wire/generated/consumer_protocol_assignment.ts";
import type { JoinGroupRequest } from "../../../../src/wire/generated/join_group_request.ts";
import type { JoinGroupResponse } from "../../../../src/wire/generated/join_group_response.ts";
import type { SyncGroupRequest } from "../../../../src/wire/generated/sync_group_request.ts";
import type { SyncGroupResponse } from "../../../../src/wire/generated/sync_group_response.ts";
import { type DecodedFrame, nameOf, type WireFrame } from "./frame_codec.ts";

/** The newest version of an assignment; its successors only append fields. */
const ASSIGNMENT_VERSION_MAX = 3;

/** Reads all of them in a frame of one of the two APIs; gives how many there were. */
export function checkGroupProtocol(frame: WireFrame, { message }: DecodedFrame): number {
  const name = nameOf(frame);
  const isRequest = frame.direction === "request";
  if (frame.apiKey === JOIN_GROUP.key) {
    const subscriptions = isRequest
      ? (message as JoinGroupRequest).protocols.map(({ metadata }) => metadata)
      : (message as JoinGroupResponse).members.map(({ metadata }) => metadata);
    for (const subscription of subscriptions) {
      assert.equal(topicsOfSubscription(subscription)?.length, 1, `${name}: a subscription`);
    }
    return subscriptions.length;
  }
  const assignments = isRequest
    ? (message as SyncGroupRequest).assignments.map(({ assignment }) => assignment)
    : [(message as SyncGroupResponse).assignment];
  // None comes with an error, and to a member that gets nothing.
  const given = assignments.filter(({ length }) => length > 0);
  for (const assignment of given) {
    const cursor = Cursor.of(assignment);
    const version = Math.min(cursor.int16(), ASSIGNMENT_VERSION_MAX);
    const { assignedPartitions } = decodeConsumerProtocolAssignment(cursor, version);
    assert.ok(cursor.ok() && assignedPartitions.length <= 1, `${name}: an assignment`);
  }
  return given.length;
}
