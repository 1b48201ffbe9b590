/**
 * This node and the controller, wherever that is: registers the node, passes requests on to the controller's node, and
 * serves those that other nodes pass on. Lives on the controller's shard; on others nothing reaches it.
 *
 * @module
 */

import { LogLevel } from "../base/logger.ts";
import { LOGICAL_VERSION } from "../cluster/membership.ts";
import { CONTROLLER_GROUP_ID } from "../cluster/records.ts";
import { runTask, type Task, until } from "../io/task.ts";
import { Timer } from "../io/timers.ts";
import { CONTROLLER_SHARD } from "../kafka/handler.ts";
import type { Caller, ControllerCalls } from "../kafka/router.ts";
import type { NodeRequest } from "./node_calls.ts";
import type { NodeMembership } from "./node_membership.ts";
import {
  decodeRegistration,
  decodeRegistrationAnswer,
  encodeRegistration,
  encodeRegistrationAnswer,
  register,
  REGISTER_API,
  type Registration,
  type RegistrationAnswer,
} from "./registration.ts";
import type { Shard } from "./shard.ts";
import type { AdvertisedNode } from "./start_sequence.ts";

/** How long the controller's node may take to answer (ms). */
const ANSWER_MS = 10_000;
/** Between two attempts to register (ms). */
const RETRY_MS = 100;
const NOBODY: Caller = { clientId: null, clientHost: "" };

export class Registrar implements ControllerCalls {
  readonly #shard: Shard;
  #membership: NodeMembership | null = null;
  #stopped = false;

  constructor(shard: Shard) {
    this.#shard = shard;
  }

  *call(
    apiKey: number,
    version: number,
    caller: Caller,
    body: Uint8Array,
  ): Task<Uint8Array | null> {
    const { leaders, options, peers } = this.#shard;
    const node = leaders.knownLeaderOf(CONTROLLER_GROUP_ID);
    if (node < 0 || node === options.nodeId) return null;
    const request = { apiKey, version, caller, body };
    return yield* peers.calls.call(node, CONTROLLER_SHARD, request, ANSWER_MS);
  }

  /** Serves what another node passed on; null: this node is not the controller, or the request makes no sense. */
  serve(
    { apiKey, version, caller, body }: NodeRequest,
    done: (response: Uint8Array | null) => void,
  ): void {
    if (apiKey !== REGISTER_API) {
      return this.#shard.router.servePassedOn(apiKey, version, caller, body, done);
    }
    const registration = decodeRegistration(body);
    if (registration === null) return done(null);
    runTask(this.#registerHere(registration), (answer) => {
      done(answer === null ? null : encodeRegistrationAnswer(answer));
    });
  }

  /**
   * Registers this node; goes on trying until the cluster has taken it up, or the shard stops.
   *
   * @returns why the cluster does not take it; null: it does
   */
  *register(registration: Registration, membership: NodeMembership): Task<string | null> {
    this.#membership = membership;
    for (;;) {
      const answer = yield* this.#ask(registration);
      const refusal = answer?.refusal ?? null;
      if (refusal !== null) {
        const { logger } = this.#shard.options;
        logger.log(LogLevel.ERROR, "The cluster does not take this node", { why: refusal });
      }
      if (answer !== null || this.#stopped) return refusal;
      yield* this.#pause(RETRY_MS);
    }
  }

  stop(): void {
    this.#stopped = true;
  }

  *#ask(registration: Registration): Task<RegistrationAnswer | null> {
    if (this.#shard.controller?.active === true) return yield* this.#registerHere(registration);
    const body = encodeRegistration(registration);
    const response = yield* this.call(REGISTER_API, 0, NOBODY, body);
    return response === null ? null : decodeRegistrationAnswer(response);
  }

  *#registerHere(registration: Registration): Task<RegistrationAnswer | null> {
    const { controller, live, options } = this.#shard;
    const clusterId = this.#membership?.state.clusterId ?? "";
    if (controller === null || !controller.active || clusterId === "") return null;
    // This node is not another one to itself.
    const isAlive = (nodeId: number): boolean => nodeId !== options.nodeId && live.isAlive(nodeId);
    const isOwn = registration.node.nodeId === options.nodeId;
    const skipsProducerIds = isOwn && this.#shard.metadataLossAccepted;
    return yield* register({ controller, clusterId, isAlive, skipsProducerIds }, registration);
  }

  *#pause(ms: number): Task<void> {
    const { timers, nowMs } = this.#shard.options;
    yield* until<void>((done) => timers.schedule(new Timer(done), nowMs() + ms));
  }
}

/** What the cluster is told of this node. */
export function registrationOf(
  { host, port, rack, rpc }: AdvertisedNode,
  { incarnation }: NodeMembership,
  nodeId: number,
  firstFreeGroupId: number,
): Registration {
  const endpoints = [{ name: "kafka", host, port }];
  if (rpc !== null) endpoints.push({ name: "rpc", ...rpc });
  const node = { nodeId, incarnation, rack, logicalVersion: LOGICAL_VERSION, endpoints };
  return { node, firstFreeGroupId };
}
