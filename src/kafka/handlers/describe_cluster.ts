/**
 * DescribeCluster (key 60), versions 0 to 2: the cluster's id, nodes and controller.
 *
 * - v1: the endpoint type has to be brokers (1); controllers (2) have no listener of their own here:
 *   MISMATCHED_ENDPOINT_TYPE, anything else UNSUPPORTED_ENDPOINT_TYPE.
 *
 * - Nodes that cannot be reached are left out; v2 shows them as fenced where that is asked for.
 * - The controller is -1 while none is known. Every node passes requests for the controller on to it.
 *
 * @module
 */

import { ErrorCode } from "../../wire/errors.ts";
import { DESCRIBE_CLUSTER } from "../../wire/generated/apis.ts";
import type { DescribeClusterRequest } from "../../wire/generated/describe_cluster_request.ts";
import {
  type DescribeClusterResponse,
  newDescribeClusterResponse,
} from "../../wire/generated/describe_cluster_response.ts";
import { type Handler, LOCAL } from "../handler.ts";
import {
  CLUSTER_OPERATIONS,
  controllerIdOf,
  kafkaAddresses,
  OPERATIONS_NOT_ASKED,
} from "../topic_views.ts";

const BROKERS = 1;
const CONTROLLERS = 2;

export const DESCRIBE_CLUSTER_HANDLER: Handler<DescribeClusterRequest, DescribeClusterResponse> = {
  api: DESCRIBE_CLUSTER,
  minVersion: 0,
  maxVersion: 2,
  route: LOCAL,
  // deno-lint-ignore require-yield -- answered from the image.
  *handle({ services }, request) {
    if (request.endpointType !== BROKERS) {
      const controllers = request.endpointType === CONTROLLERS;
      return newDescribeClusterResponse({
        errorCode: controllers
          ? ErrorCode.MISMATCHED_ENDPOINT_TYPE
          : ErrorCode.UNSUPPORTED_ENDPOINT_TYPE,
        errorMessage: controllers
          ? "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER"
          : `Unsupported endpoint type ${request.endpointType}`,
      });
    }
    const { live, image } = services;
    const isShown = (nodeId: number): boolean =>
      live.isAlive(nodeId) || request.includeFencedBrokers;
    const brokers = kafkaAddresses(image, isShown).map(({ nodeId, host, port, rack }) => ({
      brokerId: nodeId,
      host,
      port,
      rack,
      isFenced: !live.isAlive(nodeId),
    }));
    return newDescribeClusterResponse({
      clusterId: image.clusterId,
      controllerId: controllerIdOf(services),
      brokers,
      clusterAuthorizedOperations: request.includeClusterAuthorizedOperations
        ? CLUSTER_OPERATIONS
        : OPERATIONS_NOT_ASKED,
    });
  },
};
