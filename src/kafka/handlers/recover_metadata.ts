/**
 * RecoverMetadata (key 20004, Gregor's own): the cluster's metadata lost its majority for good, and the node that is asked
 * goes on with its copy, alone. There is no controller that could record that: the node's own log does.
 *
 * - It is for the node that gets it: named by its id, else INVALID_REQUEST.
 * - While the metadata has a leader that can be reached, or a majority of its voters can be: ELECTION_NOT_NEEDED. A node that
 *   lost its disk is there as another one, and does not count.
 * - A node without a copy of the metadata, or with a damaged one; or without a vote, while one that votes can be reached:
 *   INVALID_REPLICA_ASSIGNMENT.
 * - That the node goes on alone could not be written down: KAFKA_STORAGE_ERROR.
 *
 * @module
 */

import { hasMajority } from "../../cluster/lost_majority.ts";
import { CONTROLLER_GROUP_ID } from "../../cluster/records.ts";
import { ErrorCode } from "../../wire/errors.ts";
import { RECOVER_METADATA } from "../../wire/generated/apis.ts";
import type { RecoverMetadataRequest } from "../../wire/generated/recover_metadata_request.ts";
import {
  newRecoverMetadataResponse,
  type RecoverMetadataResponse,
} from "../../wire/generated/recover_metadata_response.ts";
import { CONTROLLER_SHARD, type Handler } from "../handler.ts";

export const RECOVER_METADATA_HANDLER: Handler<RecoverMetadataRequest, RecoverMetadataResponse> = {
  api: RECOVER_METADATA,
  minVersion: 0,
  maxVersion: 0,
  route: { kind: "shard", shardOf: () => CONTROLLER_SHARD },
  *handle({ services }, { nodeId }) {
    if (nodeId !== services.nodeId) {
      return refused(ErrorCode.INVALID_REQUEST, `this is node ${services.nodeId}, not ${nodeId}`);
    }
    const replica = services.partitions.byGroup(CONTROLLER_GROUP_ID)?.replica;
    const status = replica?.status();
    const part = status?.members.find(({ node }) => node === nodeId)?.part ?? "none";
    if (replica === undefined || status === undefined || part === "none") {
      const message = `node ${nodeId} is no member of the group that keeps the cluster's metadata`;
      return refused(ErrorCode.INVALID_REPLICA_ASSIGNMENT, message);
    }
    if (status.role === "read-only") {
      const message = `damage has cut the log of node ${nodeId}: choose another one`;
      return refused(ErrorCode.INVALID_REPLICA_ASSIGNMENT, message);
    }
    const voters = status.members.map((member) => ({
      isVoter: member.part === "voter",
      wasVoter: member.wasVoter,
      isThere: member.node === nodeId || services.isMetadataMemberThere(member),
    }));
    if (replica.leaderId >= 0 || replica.leading || hasMajority(voters)) {
      const message =
        "the cluster's metadata has a leader, or a majority of the nodes that vote on it can be reached";
      return refused(ErrorCode.ELECTION_NOT_NEEDED, message);
    }
    const isOtherThere = voters.some(({ isVoter, wasVoter, isThere }) =>
      (isVoter || wasVoter) && isThere
    );
    if (part === "learner" && isOtherThere) {
      const message =
        `node ${nodeId} does not vote on the cluster's metadata, and a node that does can be reached`;
      return refused(ErrorCode.INVALID_REPLICA_ASSIGNMENT, message);
    }
    const problem = yield* services.recoverMetadata();
    if (problem === null) return newRecoverMetadataResponse();
    return refused(ErrorCode.KAFKA_STORAGE_ERROR, `nothing was changed: ${problem}`);
  },
};

function refused(errorCode: ErrorCode, errorMessage: string): RecoverMetadataResponse {
  return newRecoverMetadataResponse({ errorCode, errorMessage });
}
