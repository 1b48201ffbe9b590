/**
 * What one shard does in each step of a start and a stop (`start_sequence.ts`). In production a step is a message
 * of the control thread (`boot.ts`), in the simulator a call.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import type { RpcAddress } from "../cluster/founding.ts";
import type { NamedLife } from "../cluster/lives.ts";
import type { Task } from "../io/task.ts";
import { CONTROLLER_SHARD } from "../kafka/handler.ts";
import { readDiskError, verifyNode } from "../storage/disk_error_mark.ts";
import type { Manifest } from "../storage/manifest.ts";
import { openShard } from "../storage/open_shard.ts";
import { recoverNode } from "../storage/recovery.ts";
import type { Damage, ShardStorage, StorageContext } from "../storage/shard_storage.ts";
import { CONTROLLER_GROUP_ID } from "../cluster/records.ts";
import { NodeMembership } from "./node_membership.ts";
import type { Shard } from "./shard.ts";
import { StartWait } from "./start_wait.ts";
import type {
  AdvertisedNode,
  Joined,
  Led,
  Opened,
  Recovered,
  VerifiedNode,
} from "./start_sequence.ts";

export interface ShardStepsOptions {
  readonly shard: number;
  readonly shardCount: number;
  readonly nodeId: number;
  /** Where other nodes reach this one. */
  readonly rpcAddress: RpcAddress;
  /** Of the first nodes; empty: a cluster of one. */
  readonly seeds: readonly RpcAddress[];
  /** Logs that damage made read-only are writable again. */
  readonly acceptLoss: boolean;
  /** Lives that are given up if the metadata lost its majority; absent: none. */
  readonly recoversMetadata?: readonly NamedLife[];
  /** Of each shard's journal, and of its extents (bytes). */
  readonly journalBytes: number;
  readonly extentBytes: number;
  readonly context: StorageContext;
  /** Builds the shard over its opened storage. */
  readonly make: (storage: ShardStorage, manifest: Manifest) => Shard;
  /** A verification, by whichever shard, found damage in a log of this one. */
  readonly onVerifiedDamage: (damage: Damage) => void;
  /** What the step waits for of other nodes, for people; null: for nothing any more. */
  readonly onWaiting: (why: string | null) => void;
  /** The cluster has given this node up, and says so: it must end. For people. */
  readonly onExpelled: (reason: string) => void;
  /** The present part of a long step, and a share from 0 to 1. */
  readonly onProgress: (stage: string, done: number) => void;
}

export class ShardSteps {
  readonly #options: ShardStepsOptions;
  #shard: Shard | null = null;
  /** Gives up what a verification found damaged, as soon as it is known who else has it; before clients connect. */
  /** What a verification of this start found. */
  #damages: readonly Damage[] = [];
  #giveUp: () => Task<void> = function* () {};

  constructor(options: ShardStepsOptions) {
    this.#options = options;
  }

  /** Null until it is open. */
  get shard(): Shard | null {
    return this.#shard;
  }

  *recover(): Task<Recovered> {
    const { context, shardCount, nodeId, acceptLoss, journalBytes, extentBytes, onProgress } =
      this.#options;
    const report = yield* recoverNode({
      context,
      shardCount,
      nodeId,
      acceptLoss,
      journalBytes,
      extentBytes,
      onProgress,
    });
    return { report, diskError: yield* readDiskError(context) };
  }

  *verify(manifest: Manifest): Task<VerifiedNode> {
    const { context, onProgress } = this.#options;
    const damages: Damage[] = [];
    const noting: StorageContext = {
      ...context,
      onDamage: (damage) => {
        damages.push(damage);
        context.onDamage(damage);
      },
    };
    const told = (done: number): void => onProgress("verifying segments", done);
    return { verified: yield* verifyNode(noting, manifest, told), damages };
  }

  *open(manifest: Manifest, damages: readonly Damage[]): Task<Opened> {
    const { context, shard, acceptLoss, make, onVerifiedDamage } = this.#options;
    const storage = yield* openShard({ context, shard, manifest, acceptLoss });
    if (typeof storage === "number") return { errno: storage, logs: 0, lastGroupId: 0 };
    const opened = make(storage, manifest);
    this.#shard = opened;
    for (const damage of damages) {
      if (storage.logs.has(damage.groupId)) onVerifiedDamage(damage);
    }
    this.#damages = damages;
    if (acceptLoss) {
      opened.partitions.acceptsLoss = true;
      this.#giveUp = () => storage.giveUp(damages);
    }
    let lastGroupId = CONTROLLER_GROUP_ID;
    for (const groupId of storage.logs.keys()) lastGroupId = Math.max(lastGroupId, groupId);
    return { errno: 0, logs: storage.logs.size, lastGroupId };
  }

  *join(manifest: Manifest, node: AdvertisedNode, firstFreeGroupId: number): Task<Joined> {
    const { context, nodeId, rpcAddress: address, seeds } = this.#options;
    const shard = this.#opened;
    const membership = new NodeMembership({
      ...shard.options,
      context,
      nodeId,
      address,
      candidate: shard.options.peering?.incarnation ?? null,
      seeds,
      transport: shard.peers.hellos,
      onExpelled: this.#options.onExpelled,
    }, manifest);
    shard.peers.hellos.membership = membership;
    const wait = this.#wait(() => membership.waitsFor ?? shard.seat.waitsFor);
    const refusal = yield* shard.seat.join(membership, node, firstFreeGroupId, this.#options);
    wait.end();
    return { refusal };
  }

  *lead(node: AdvertisedNode, firstFreeGroupId: number): Task<Led> {
    const shard = this.#opened;
    const wait = this.#wait(() => shard.seat.waitsFor);
    const refusal = yield* shard.seat.lead(node, firstFreeGroupId);
    wait.end();
    const { clusterId, topics, partitionCount } = shard.image;
    return { refusal, clusterId, topics: topics.size, partitions: partitionCount };
  }

  /** Finishes once there is room for the next start, or too little of it: clients connect after that. */
  *serve(ballastBytes: number): Task<void> {
    const shard = this.#opened;
    yield* this.#giveUp();
    for (const damage of this.#damages) {
      if (damage.harmless !== true && shard.storage.logs.has(damage.groupId)) {
        shard.mender.note(damage);
      }
    }
    shard.deleteOrphans();
    if (this.#options.shard === CONTROLLER_SHARD) yield* shard.keepBallast(ballastBytes);
  }

  *drain(): Task<void> {
    if (this.#shard !== null) yield* this.#shard.drain();
  }

  *stop(): Task<void> {
    if (this.#shard !== null) yield* this.#shard.stop();
  }

  /** Says from now on what the start waits for. */
  #wait(reason: () => string | null): StartWait {
    const wait = new StartWait({
      ...this.#opened.options,
      reason,
      tell: this.#options.onWaiting,
    });
    wait.begin();
    return wait;
  }

  get #opened(): Shard {
    assert(this.#shard !== null, "a step of a shard that is not open");
    return this.#shard;
  }
}
