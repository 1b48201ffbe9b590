/**
 * RecoverMetadata (key 20004, Gregor's own): the cluster's metadata lost its majority for good, and the node that is asked
 * goes on with its copy, alone. There is no controller that could record that: the node's own log does.
 *
 * - It is for the node that gets it: named by its id, else INVALID_REQUEST.
 * - While the metadata has a leader that can be reached, or a majority of its voters can be: ELECTION_NOT_NEEDED.
 * - A node without a vote in the metadata: INVALID_REPLICA_ASSIGNMENT.
 *
 * @module
 */

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
  // deno-lint-ignore require-yield -- the log says when it is so.
  *handle({ services }, { nodeId }) {
    const { live } = services;
    if (nodeId !== services.nodeId) {
      return refused(ErrorCode.INVALID_REQUEST, `this is node ${services.nodeId}, not ${nodeId}`);
    }
    const replica = services.partitions.byGroup(CONTROLLER_GROUP_ID)?.replica;
    const members = replica?.status().members ?? [];
    const voters = members.filter(({ part }) => part === "voter");
    if (replica === undefined || !voters.some(({ node }) => node === nodeId)) {
      const message = `node ${nodeId} does not vote on the cluster's metadata`;
      return refused(ErrorCode.INVALID_REPLICA_ASSIGNMENT, message);
    }
    const alive = voters.filter(({ node }) => node === nodeId || live.isAlive(node));
    if (replica.leaderId >= 0 || replica.leading || alive.length > voters.length / 2) {
      const message =
        "the cluster's metadata has a leader, or a majority of the nodes that vote on it " +
        "can be reached; those that lost their disks count as well until they are stopped";
      return refused(ErrorCode.ELECTION_NOT_NEEDED, message);
    }
    services.recoverMetadata();
    return newRecoverMetadataResponse();
  },
};

function refused(errorCode: ErrorCode, errorMessage: string): RecoverMetadataResponse {
  return newRecoverMetadataResponse({ errorCode, errorMessage });
}
