/**
 * TransferLeadership (key 20002, Gregor's own): the leader of a partition hands over to another voter, and is answered
 * before that has happened: whether it succeeds shows in the metadata.
 *
 * - Whoever does not lead answers NOT_LEADER_OR_FOLLOWER: the client asks the leader.
 * - A node that is no voter of the partition: INVALID_REPLICA_ASSIGNMENT.
 * - `__cluster_metadata` moves the controller.
 *
 * @module
 */

import { ErrorCode } from "../../wire/errors.ts";
import { TRANSFER_LEADERSHIP } from "../../wire/generated/apis.ts";
import type { TransferLeadershipRequest } from "../../wire/generated/transfer_leadership_request.ts";
import {
  newTransferLeadershipResponse,
  type TransferLeadershipResponse,
} from "../../wire/generated/transfer_leadership_response.ts";
import type { Handler } from "../handler.ts";
import { groupIdOf } from "./describe_replicas.ts";

export const TRANSFER_LEADERSHIP_HANDLER: Handler<
  TransferLeadershipRequest,
  TransferLeadershipResponse
> = {
  api: TRANSFER_LEADERSHIP,
  minVersion: 0,
  maxVersion: 0,
  route: {
    kind: "shard",
    shardOf({ topic, partition }, services) {
      const groupId = groupIdOf(services, topic, partition);
      return groupId === undefined ? services.shard : services.shardOfGroup(groupId);
    },
  },
  // deno-lint-ignore require-yield -- the transfer goes on by itself.
  *handle({ services }, { topic, partition, nodeId }) {
    const groupId = groupIdOf(services, topic, partition);
    if (groupId === undefined) {
      return newTransferLeadershipResponse({ errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION });
    }
    const replica = services.partitions.byGroup(groupId)?.replica;
    if (replica === undefined || !replica.leading) {
      return newTransferLeadershipResponse({ errorCode: ErrorCode.NOT_LEADER_OR_FOLLOWER });
    }
    if (replica.transfer(nodeId) === 0) return newTransferLeadershipResponse();
    return newTransferLeadershipResponse({
      errorCode: ErrorCode.INVALID_REPLICA_ASSIGNMENT,
      errorMessage: `node ${nodeId} is no voter of ${topic}/${partition}`,
    });
  },
};
