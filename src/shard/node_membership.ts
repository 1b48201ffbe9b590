/**
 * Which cluster this node belongs to, on the controller's shard: drives `cluster/founding.ts` with the manifest as its
 * memory.
 *
 * A data directory without an identity, but with a metadata log, was written by a program that knew no other nodes: the
 * node is the only founder of the cluster that the log describes.
 *
 * @module
 */

import { hostPort } from "../base/address.ts";
import { type Logger, LogLevel } from "../base/logger.ts";
import type { Random } from "../base/prng.ts";
import {
  type Founder,
  Founding,
  type FoundingState,
  isFounder,
  type MetNode,
  type RpcAddress,
} from "../cluster/founding.ts";
import { hasLife } from "../cluster/given_up.ts";
import { newUuid } from "../cluster/ids.ts";
import { runTask, type Task, until } from "../io/task.ts";
import { Timer, type Timers } from "../io/timers.ts";
import { type Manifest, type NodeIdentity, updateManifest } from "../storage/manifest.ts";
import type { StorageContext } from "../storage/shard_storage.ts";
import type { NodeHello } from "../wire/generated/node_hello.ts";
import { type Uuid, uuidToBase64 } from "../wire/uuid.ts";
import type { JoinRefusal } from "./start_sequence.ts";

/** Others may be connected to this node's last process for so long, and say so after such a pause at the latest (ms). */
const TAKEN_MS = 5_000;
const TAKEN_GAP_MS = 3_000;

/** Carries hellos between nodes. */
export interface HelloTransport {
  /** Sends to whoever has that address, or loses it. */
  send(to: RpcAddress, hello: NodeHello): void;
}

/** Null: what was to be written is durable; else nothing has changed, for this reason. */
export type Written = (refusal: JoinRefusal | null) => void;

export interface NodeMembershipOptions {
  readonly nodeId: number;
  /** Where other nodes reach this one. */
  readonly address: RpcAddress;
  /** Of the data directory if it has none; drawn when absent. */
  readonly candidate: Uuid | null;
  /** Empty: a cluster of one. */
  readonly seeds: readonly RpcAddress[];
  readonly transport: HelloTransport;
  readonly context: StorageContext;
  readonly random: Random;
  readonly timers: Timers;
  readonly nowMs: () => number;
  readonly logger: Logger;
  /** The cluster has given this node up: it must end. */
  readonly onExpelled: (reason: string) => void;
}

export class NodeMembership {
  readonly #options: NodeMembershipOptions;
  readonly #timer = new Timer(() => this.#tick());
  readonly incarnation: Uuid;
  #manifest: Manifest;
  #founding: Founding | null = null;
  #state: FoundingState;
  /** Who waits until that is durable which the node keeps of a recovery. */
  #waiter: { readonly isRecovering: boolean; readonly done: Written } | null = null;
  /** Who writes the manifest, and who waits to write it. */
  readonly #writers: (() => void)[] = [];
  #ended: (refusal: JoinRefusal | null) => void = () => {};
  /** Why this node must not go on: somebody else is it, as others say. */
  twin: string | null = null;
  /** When that was said last, and since when it has been. */
  #takenMs = -Infinity;
  #takenSinceMs = -Infinity;

  /** Told of the lives that were given up, when there are more. */
  onGivenUp: (lives: readonly Founder[]) => void = () => {};

  /** @param manifest as recovery wrote it */
  constructor(options: NodeMembershipOptions, manifest: Manifest) {
    this.#options = options;
    this.#manifest = manifest;
    const { clusterId, founders, pledge, givenUp = [], isRecovering = false } = manifest;
    this.#state = { clusterId, founders, pledge, givenUp, isRecovering };
    const { candidate, random } = options;
    this.incarnation = manifest.incarnation === ""
      ? candidate ?? newUuid(random)
      : manifest.incarnation;
  }

  /** The cluster, and who founded it; known once {@linkcode decide} or {@linkcode adopt} has ended. */
  get state(): FoundingState {
    return this.#state;
  }

  /**
   * Whether this is one of the nodes that founded the cluster, in its first life (or its only node). Others know the metadata only from
   * when the cluster has taken them up.
   */
  get isFounder(): boolean {
    const { founders } = this.#state;
    return founders.length === 0 || isFounder(this.#state, this.incarnation);
  }

  /** The metadata goes on with this node alone, and what belongs to that is not done yet. */
  get isRecovering(): boolean {
    return this.#state.isRecovering === true;
  }

  /**
   * Nodes besides this one that may have a copy of the metadata, in the lives that they have, as was noted last; null: never.
   * What an older program noted has ids only.
   */
  get notedKeepers(): readonly Founder[] | null {
    return this.#manifest.keepers ?? null;
  }

  /** The same; before anything was noted, the founders. */
  get keepers(): readonly Founder[] {
    const { founders } = this.#state;
    return this.notedKeepers ??
      founders.filter(({ nodeId }) => nodeId !== this.#options.nodeId);
  }

  /** Nodes that this one has met, and where. */
  get acquaintances(): readonly (RpcAddress & { readonly nodeId: number })[] {
    return this.#founding?.acquaintances ?? [];
  }

  /**
   * Finishes when the node durably belongs to a cluster; with seeds that may take until all of them are there.
   *
   * @param hasMetadata there is a metadata log already
   * @returns why the node must not start; null: it may
   */
  *decide(hasMetadata: boolean): Task<JoinRefusal | null> {
    if (this.#state.clusterId === "" && hasMetadata) return this.#judgeOldDirectory();
    const founding = this.#makeFounding();
    return yield* until<JoinRefusal | null>((done) => {
      this.#ended = done;
      founding.start(this.#options.nowMs());
      this.#schedule();
    });
  }

  /** The metadata log says which cluster this is; kept when nothing else was known. */
  *adopt(clusterId: string): Task<JoinRefusal | null> {
    if (this.#state.clusterId !== "") return null;
    const { nodeId, address: { host, port }, nowMs, random } = this.#options;
    const founders = [{ nodeId, incarnation: this.incarnation, host, port }];
    // The first start of the older program was cut short.
    const id = clusterId === "" ? uuidToBase64(newUuid(random)) : clusterId;
    const refusal = yield* this.#save({ clusterId: id, founders, pledge: null });
    if (refusal !== null) return refusal;
    this.#makeFounding().start(nowMs());
    this.#schedule();
    return null;
  }

  #judgeOldDirectory(): JoinRefusal | null {
    // The first manifest of a directory with logs: the one before is lost, and its loss was accepted.
    if (this.#manifest.mountEpoch > 1 || this.#options.seeds.length === 0) return null;
    const reason =
      "the manifest is lost, and with it which node of which cluster this was: start with an empty " +
      "data directory, and the node joins again";
    return { kind: "cluster", reason };
  }

  /** Who is added to a cluster has to know with whom its log began. */
  #judgeFormed({ clusterId, founders }: FoundingState): JoinRefusal | null {
    if (founders.length > 0) return null;
    const reason =
      `the nodes of the cluster ${clusterId} did not say who founded it: correct --seeds`;
    return { kind: "cluster", reason };
  }

  #makeFounding(): Founding {
    const { nodeId, address, seeds, transport, random } = this.#options;
    const founding = new Founding({
      nodeId,
      incarnation: this.incarnation,
      process: random.nextUint32(),
      run: this.#manifest.mountEpoch,
      address,
      seeds,
      state: this.#state,
      random,
      effects: {
        send: (to, hello) => transport.send(to, hello),
        save: (state) => runTask(this.#save(state), (refusal) => this.#saved(state, refusal)),
        formed: (formed) => this.#end(this.#judgeFormed(formed)),
        refuse: (reason) => this.#end({ kind: "cluster", reason }),
        warn: (problem) => this.#options.logger.log(LogLevel.ERROR, problem),
        expel: (reason) => this.#options.onExpelled(reason),
      },
    });
    this.#founding = founding;
    return founding;
  }

  /**
   * Node `by` is connected to another process that has this node's id. For a moment that may be this node's last process;
   * for longer it ends the start.
   */
  isTaken(by: number, { host, port }: RpcAddress): void {
    const { nodeId, nowMs } = this.#options;
    if (by === nodeId) return;
    const now = nowMs();
    if (now - this.#takenMs > TAKEN_GAP_MS) this.#takenSinceMs = now;
    this.#takenMs = now;
    if (now - this.#takenSinceMs < TAKEN_MS) return;
    const reason =
      `node ${by} at ${hostPort(host, port)} is connected to another process with the ` +
      `id ${nodeId}: start this node with another --node-id; if its data directory is a copy, empty it first`;
    this.twin = reason;
    this.#end({ kind: "cluster", reason });
  }

  /** A hello of another node came. */
  received(hello: NodeHello): void {
    this.#founding?.received(hello, this.#options.nowMs());
    this.#schedule();
  }

  /** That address leads back to this process. */
  isSelf(address: RpcAddress): void {
    this.#founding?.isSelf(address);
    this.#schedule();
  }

  /** Whoever has that address does not talk to this node. */
  met(address: RpcAddress, node: MetNode): void {
    this.#founding?.met(address, node, this.#options.nowMs());
  }

  /** Nobody could be reached at that address. */
  unreachable(address: RpcAddress, why: string): void {
    this.#founding?.unreachable(address, why);
  }

  /** What the start waits for, for people; null: it has not begun to wait, or does not any more. */
  get waitsFor(): string | null {
    return this.#state.clusterId === "" ? this.#founding?.waitsFor ?? null : null;
  }

  /** Asks the seeds again, over the connections of a member: whether this node was given up, it must know before it acts. */
  greet(): void {
    this.#founding?.askAll(this.#options.nowMs());
    this.#schedule();
  }

  /**
   * The metadata goes on with this node alone (`Founding.goOnWithout`).
   *
   * @param done that is durable: who comes back hears of it
   */
  goOnWithout(lost: readonly Founder[], others: readonly RpcAddress[], done: Written): void {
    if (this.#waiter !== null) {
      return done({ kind: "error", reason: "the metadata is being recovered already" });
    }
    if (this.#founding === null) {
      // Its manifest is lost: nobody could be told who it is that goes on.
      const reason = "it is not known which cluster this data directory belongs to";
      return done({ kind: "cluster", reason });
    }
    this.#waiter = { isRecovering: true, done };
    this.#founding.goOnWithout(lost, others);
    this.#schedule();
  }

  /** Where nodes of this node's cluster are, which know who was given up, or are to know it. */
  acquaint(others: readonly RpcAddress[]): void {
    this.#founding?.acquaint(others);
    this.#schedule();
  }

  /** Lives of which only a part may have been known when they were given up. */
  completeGivenUp(known: readonly Founder[]): void {
    this.#founding?.complete(known);
  }

  /** This node must not go on. */
  expel(reason: string): void {
    this.#options.onExpelled(reason);
  }

  /** All that belongs to {@linkcode goOnWithout} is done. */
  recovered(done: Written): void {
    this.#waiter = { isRecovering: false, done };
    this.#founding?.recovered();
  }

  /** Notes that these nodes, and no others besides this one, may have a copy of the metadata. */
  noteKeepers(keepers: readonly Founder[], done: Written): void {
    runTask(this.#write(() => ({ keepers })), done);
  }

  stop(): void {
    this.#options.timers.cancel(this.#timer);
    this.#founding = null;
  }

  *#save(state: FoundingState): Task<JoinRefusal | null> {
    const { clusterId, founders, pledge, givenUp = [], isRecovering = false } = state;
    const refusal = yield* this.#write(() => ({
      incarnation: this.incarnation,
      clusterId,
      founders,
      pledge,
      ...givenUp.length === 0 ? {} : { givenUp },
      isRecovering,
      ...this.#keepersWithout(givenUp),
    }));
    if (refusal !== null) return refusal;
    this.#state = state;
    this.onGivenUp(givenUp);
    return null;
  }

  /** Who is given up keeps nothing that counts. */
  #keepersWithout(givenUp: readonly Founder[]): Pick<NodeIdentity, "keepers"> {
    const { givenUp: known = [] } = this.#state;
    const added = givenUp.filter((node) => !hasLife(known, node));
    if (added.length === 0) return {};
    const isAdded = ({ nodeId, incarnation }: Founder): boolean =>
      incarnation === ""
        ? added.some((node) => node.nodeId === nodeId)
        : hasLife(added, { incarnation });
    return { keepers: this.keepers.filter((keeper) => !isAdded(keeper)) };
  }

  /**
   * Writes what has changed of the manifest; of two writes at once each would undo the other.
   *
   * @param change asked for when it is written
   */
  *#write(change: () => Partial<NodeIdentity>): Task<JoinRefusal | null> {
    yield* until<void>((go) => {
      this.#writers.push(go);
      if (this.#writers.length === 1) go();
    });
    const manifest = { ...this.#manifest, ...change() };
    const result = yield* updateManifest(this.#options.context, manifest);
    if (result >= 0) this.#manifest = manifest;
    this.#writers.shift();
    this.#writers[0]?.();
    if (result >= 0) return null;
    const reason = `Cannot write the manifest (errno ${-result})`;
    // A start ends with it.
    if (this.#state.clusterId !== "") this.#options.logger.log(LogLevel.ERROR, reason);
    return { kind: "error", reason };
  }

  #saved({ isRecovering = false }: FoundingState, refusal: JoinRefusal | null): void {
    if (refusal === null) this.#founding?.saved();
    else {
      this.#founding?.notSaved();
      this.#end(refusal);
    }
    this.#schedule();
    const waiter = this.#waiter;
    if (waiter === null || (refusal === null && waiter.isRecovering !== isRecovering)) return;
    this.#waiter = null;
    waiter.done(refusal);
  }

  #end(refusal: JoinRefusal | null): void {
    const ended = this.#ended;
    this.#ended = () => {};
    ended(refusal);
  }

  #tick(): void {
    const { nowMs } = this.#options;
    const founding = this.#founding;
    if (founding === null) return;
    founding.tick(nowMs());
    this.#schedule();
  }

  #schedule(): void {
    const { timers } = this.#options;
    const nextMs = this.#founding?.nextTickMs ?? Infinity;
    if (nextMs === Infinity) return timers.cancel(this.#timer);
    timers.schedule(this.#timer, nextMs);
  }
}
