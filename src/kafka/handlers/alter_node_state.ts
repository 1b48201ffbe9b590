/**
 * AlterNodeState (key 20010, Gregor's own): what a node takes part in, from now on until it is said again.
 *
 * - 0: everything. 1, maintenance: it hands over what it leads. 2, decommissioning: its replicas move to other nodes, and it
 *   gets no new ones; 0 takes that back, and what has moved stays where it is.
 * - The answer waits for the commit. How far it is, DescribeNodes says.
 * - A node that is not registered: BROKER_ID_NOT_REGISTERED. A state that there is not, and the decommissioning of the last
 *   node: INVALID_REQUEST.
 *
 * @module
 */

import { setNodeState } from "../../cluster/membership.ts";
import { ALTER_NODE_STATE } from "../../wire/generated/apis.ts";
import type { AlterNodeStateRequest } from "../../wire/generated/alter_node_state_request.ts";
import {
  type AlterNodeStateResponse,
  newAlterNodeStateResponse,
} from "../../wire/generated/alter_node_state_response.ts";
import { controllerRefusal, onController } from "../controller_answer.ts";
import { type Handler, ON_CONTROLLER } from "../handler.ts";

export const ALTER_NODE_STATE_HANDLER: Handler<AlterNodeStateRequest, AlterNodeStateResponse> = {
  api: ALTER_NODE_STATE,
  minVersion: 0,
  maxVersion: 0,
  route: ON_CONTROLLER,
  *handle({ services }, { nodeId, state }) {
    const executed = yield* onController(
      services,
      (command) => setNodeState(command, nodeId, state),
    );
    const { error, message } = executed?.result ?? controllerRefusal(services);
    return newAlterNodeStateResponse({ errorCode: error, errorMessage: message });
  },
};
