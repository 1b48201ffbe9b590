/**
 * This node and the controller, wherever that is: registers the node, passes requests on to the controller's node, and
 * serves those that other nodes pass on. Lives on the controller's shard; on others nothing reaches it.
 *
 * @module
 */

import { LogLevel } from "../base/logger.ts";
import type { VersionRange } from "../cluster/logical_version.ts";
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
  RegisterVersion,
  type Registration,
  type RegistrationAnswer,
} from "./registration.ts";
import type { Shard } from "./shard.ts";
import { rpcAddressOf } from "./shard_peers.ts";
import type { AdvertisedNode } from "./start_sequence.ts";

/** How long the controller's node may take to answer (ms). */
const ANSWER_MS = 10_000;
/** Between two attempts to register (ms). */
const RETRY_MS = 100;
/** How long another node may take that passes the registration on (ms). */
const PASS_ON_MS = 3_000;
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
    done: (response: Uint8Array | null, to?: number) => void,
  ): void {
    if (apiKey !== REGISTER_API) {
      return this.#shard.router.servePassedOn(apiKey, version, caller, body, done);
    }
    const registration = decodeRegistration(body);
    if (registration === null) return done(null);
    if (version === RegisterVersion.PASSED_ON) {
      return runTask(this.#registerHere(registration, false), (answer) => {
        done(answer === null ? null : encodeRegistrationAnswer(answer));
      });
    }
    runTask(this.#registerOther(registration, body), (answer) => {
      // Whoever has that id by then may be another node, or not known at all.
      const address = rpcAddressOf(registration.node);
      const { hellos } = this.#shard.peers;
      if (address === null) done(answer);
      else done(answer, hellos.nodeAt(address));
    });
  }

  /** Registers another node, wherever the controller is. */
  *#registerOther(registration: Registration, body: Uint8Array): Task<Uint8Array | null> {
    if (this.#shard.controller?.active !== true) {
      return yield* this.call(REGISTER_API, RegisterVersion.PASSED_ON, NOBODY, body);
    }
    const answer = yield* this.#registerHere(registration, false);
    return answer === null ? null : encodeRegistrationAnswer(answer);
  }

  /**
   * Registers this node; goes on trying until the cluster has taken it up, or the shard stops.
   *
   * @returns why the cluster does not take it, or up to where the metadata is what it is now; null: it stopped
   */
  *register(
    registration: Registration,
    membership: NodeMembership,
  ): Task<RegistrationAnswer | null> {
    this.#membership = membership;
    for (let attempt = 0; !this.#stopped; attempt++) {
      const answer = yield* this.#ask(registration, membership, attempt);
      const refusal = answer?.refusal ?? null;
      if (refusal !== null) {
        const { logger } = this.#shard.options;
        logger.log(LogLevel.ERROR, "The cluster does not take this node", { why: refusal });
      }
      if (answer !== null) return answer;
      yield* this.#pause(RETRY_MS);
    }
    return null;
  }

  stop(): void {
    this.#stopped = true;
  }

  get isStopped(): boolean {
    return this.#stopped;
  }

  *#ask(
    registration: Registration,
    membership: NodeMembership,
    attempt: number,
  ): Task<RegistrationAnswer | null> {
    if (this.#shard.controller?.active === true) {
      return yield* this.#registerHere(registration, true);
    }
    const { leaders, options, peers } = this.#shard;
    const leader = leaders.knownLeaderOf(CONTROLLER_GROUP_ID);
    const { acquaintances, state } = membership;
    const others = [...acquaintances, ...state.founders]
      .filter(({ nodeId }) => nodeId !== options.nodeId);
    // Who leads the metadata is told to members only; anybody else passes the question on.
    const asked = others[attempt % Math.max(1, others.length)]?.nodeId ?? -1;
    const node = leader >= 0 && (attempt % 2 === 0 || asked < 0) ? leader : asked;
    if (node < 0 || node === options.nodeId) return null;
    const body = encodeRegistration(registration);
    const { DIRECT: version } = RegisterVersion;
    const request = { apiKey: REGISTER_API, version, caller: NOBODY, body };
    const waitMs = node === leader ? ANSWER_MS : PASS_ON_MS;
    const response = yield* peers.calls.call(node, CONTROLLER_SHARD, request, waitMs);
    return response === null ? null : decodeRegistrationAnswer(response);
  }

  /** @param isOwn this node itself asks */
  *#registerHere(registration: Registration, isOwn: boolean): Task<RegistrationAnswer | null> {
    const { controller, live, options, peers } = this.#shard;
    const clusterId = this.#membership?.state.clusterId ?? "";
    if (controller === null || !controller.active || clusterId === "") return null;
    const { links } = peers.nodeLinks;
    // This node is not another one to itself, and is there for all others that have its id.
    const isSelf = (nodeId: number): boolean => nodeId === options.nodeId;
    return yield* register({
      controller,
      clusterId,
      isAlive: (nodeId) => isSelf(nodeId) ? !isOwn : live.isAlive(nodeId),
      isConnected: (nodeId) => {
        if (isSelf(nodeId)) return !isOwn;
        // It is connected where it is now, and not at the address that is registered.
        if (peers.hasMoved(nodeId)) return false;
        const life = controller.committed.nodes.get(nodeId)?.incarnation;
        return links.isUp(nodeId) && links.identityOf(nodeId)?.incarnation === life;
      },
      isOwn,
      skipsProducerIds: isOwn && this.#shard.seat.metadata?.isLossAccepted === true,
      appliedOffset: () => this.#shard.seat.metadataOffset,
      isComplete: (image) => this.#shard.seat.isComplete(image),
    }, registration);
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
  { nodeId, versions }: { readonly nodeId: number; readonly versions: VersionRange },
  firstFreeGroupId: number,
): Registration {
  const endpoints = [{ name: "kafka", host, port }];
  if (rpc !== null) endpoints.push({ name: "rpc", ...rpc });
  const { max: logicalVersion, min: logicalVersionMin } = versions;
  const node = { nodeId, incarnation, rack, logicalVersion, logicalVersionMin, endpoints };
  return { node, firstFreeGroupId };
}
