/**
 * Decides which cluster a node belongs to: one that there is, or a new one that the first nodes (the seeds) found
 * together. Two clusters never come of the same seeds.
 *
 * Nodes tell each other what they are in {@linkcode NodeHello} messages, which may be lost, doubled and reordered.
 * A node asks every seed again and again until it belongs to a cluster; everybody answers, always.
 *
 * ```text
 *   unformed --- a seed belongs to a cluster -----------------------------------------> join it
 *      |
 *      all seeds answer, this node is one of them, none belongs to a cluster
 *      |
 *      the lowest node id proposes: a new cluster id, and exactly the nodes that answered
 *      the others agree if they see the same nodes, which is durable before they say so ("pledge")
 *      all have agreed: the proposal is decided, by its proposer alone, with a durable write --> founded
 *      the others hear of that -------------------------------------------------------------> founded
 * ```
 *
 * Why there are never two. Only the proposer turns a proposal into a cluster, and it has one proposal at a time, whose
 * id is never used again. A node agrees to one at a time. It leaves one for another only when the first is known to be
 * dead: its proposer says that it has none such, or has lost its disk while none of the other founders knows of a
 * cluster. Two clusters of the same seeds would need a node that agreed to both at once.
 *
 * A seed that lost its disk comes back with another incarnation: it is another node to a proposal, and joins the
 * cluster that there is. Nodes that must not run together end the start: two with one id, a copied data directory.
 *
 * @module
 */

import { hostPort } from "../base/address.ts";
import type { Random } from "../base/prng.ts";
import { newNodeHello, type NodeHello } from "../wire/generated/node_hello.ts";
import { type Uuid, uuidToBase64 } from "../wire/uuid.ts";
import { type Founder, type FoundingState, type Proposal, UNFORMED } from "./founding_state.ts";
import { completed, goingOnWithout, hasLife, heed, isBehind, isTold, toldOf } from "./given_up.ts";
import { newUuid } from "./ids.ts";
import {
  describeSilent,
  isLater,
  isNews,
  keyOf,
  nameOf,
  type RpcAddress,
  type Target,
} from "./seed_target.ts";

export { type Founder, type FoundingState, type Proposal, type RpcAddress, UNFORMED };

/** Between two questions to a seed, before and after this node belongs to a cluster (ms). */
export const HELLO_INTERVAL_MS = 200;
export const HELLO_INTERVAL_FORMED_MS = 5_000;
/** How long a node that could join a cluster listens whether its other seeds belong to another one (ms). */
export const JOIN_PATIENCE_MS = 1_000;
/** Addresses beyond which nobody who asks is asked in turn. Who founded a cluster alone has no seeds, and asks those. */
const TARGETS_MAX = 256;

export interface FoundingOptions {
  readonly nodeId: number;
  readonly incarnation: Uuid;
  /** Drawn by this process, below 2^53. */
  readonly process: number;
  /** Counts the starts of the data directory. */
  readonly run: number;
  /** Where other nodes reach this one. */
  readonly address: RpcAddress;
  /** Empty: a cluster of one. */
  readonly seeds: readonly RpcAddress[];
  readonly state: FoundingState;
  readonly random: Random;
  readonly effects: FoundingEffects;
}

/** Calls come from inside the inputs; `saved` may be called back at once, anything else only later. */
export interface FoundingEffects {
  /** Sends a message to whoever has that address, or loses it. */
  send(to: RpcAddress, hello: NodeHello): void;
  /** Makes the state durable; `Founding.saved` or `Founding.notSaved` follows. */
  save(state: FoundingState): void;
  /** The node belongs to a cluster, which is durable. Once. */
  formed(state: FoundingState): void;
  /** The node must not start; for people, with what to do. At most once, and never after `formed`. */
  refuse(reason: string): void;
  /** Something that an operator should know, once the node belongs to a cluster; for people. */
  warn(problem: string): void;
  /** The cluster has given this node up: it must end. For people, with what to do. */
  expel(reason: string): void;
}

/** What is known of a node that was met. */
export interface MetNode {
  readonly nodeId: number;
  readonly incarnation: Uuid;
  /** Empty: it belongs to no cluster. */
  readonly clusterId: string;
}

export class Founding {
  readonly #options: FoundingOptions;
  readonly #effects: FoundingEffects;
  readonly #self: Founder;
  readonly #targets = new Map<string, Target>();
  #state: FoundingState;
  /** This process's own proposal; forgotten with it. */
  #proposal: Proposal | null = null;
  /** What its proposer said when this process agreed to the pledge. */
  #pledgedOn: NodeHello | null = null;
  /** What is being written, and what is to be written then. */
  #saving: FoundingState | null = null;
  #next: FoundingState | null = null;
  #sequence = 0;
  /** The last one that was given (`given_up.ts`). */
  #warning = "";
  /** Since when there is a cluster to join; -1: there is none. */
  #joinableMs = -1;
  #stage: "deciding" | "formed" | "refused" = "deciding";
  #nowMs = 0;

  constructor(options: FoundingOptions) {
    this.#options = options;
    this.#effects = options.effects;
    this.#state = options.state;
    const { nodeId, incarnation, address, seeds } = options;
    this.#self = { nodeId, incarnation, host: address.host, port: address.port };
    for (const seed of seeds) this.#addTarget(seed, true);
    if (seeds.length === 0) this.#addTarget(address, true);
    this.#addPledgedTargets();
    this.#addGivenUpTargets();
  }

  /** Begins; a node that belongs to a cluster already says so at once. */
  start(nowMs: number): void {
    this.#nowMs = nowMs;
    if (this.#state.clusterId !== "") this.#becomeFormed();
    this.tick(nowMs);
    this.#decide();
  }

  /** Asks those whose time has come. */
  tick(nowMs: number): void {
    this.#nowMs = nowMs;
    if (this.#stage === "refused") return;
    for (const target of this.#targets.values()) {
      if (this.#isDue(target, nowMs)) this.#ask(target, nowMs);
    }
    if (this.#joinableMs >= 0) this.#decide();
  }

  /** Asks everybody now: what was asked over connections that have ended is lost. */
  askAll(nowMs: number): void {
    this.#nowMs = nowMs;
    if (this.#stage === "refused") return;
    for (const target of this.#targets.values()) if (!target.isSelf) this.#ask(target, nowMs);
  }

  /** When `tick` has something to do (ms); Infinity: never. */
  get nextTickMs(): number {
    if (this.#stage === "refused") return Infinity;
    let nextMs = Infinity;
    for (const target of this.#targets.values()) {
      if (!target.isSelf) nextMs = Math.min(nextMs, target.askedMs + this.#intervalOf(target));
    }
    return nextMs;
  }

  get state(): FoundingState {
    return this.#state;
  }

  /** Nodes of this node's cluster that answered, and where they said to be. */
  get acquaintances(): readonly (RpcAddress & { readonly nodeId: number })[] {
    return [...this.#targets.values()].flatMap(({ answer, isSelf }) =>
      answer === null || isSelf || answer.clusterId !== this.#state.clusterId
        ? []
        : [{ nodeId: answer.nodeId, host: answer.host, port: answer.port }]
    );
  }

  /** A message came. It is input: nothing in it is trusted. */
  received(hello: NodeHello, nowMs: number): void {
    this.#nowMs = nowMs;
    if (this.#stage === "refused") return;
    if (hello.answersProcess < 0) return this.#onQuestion(hello);
    if (hello.answersProcess !== this.#options.process) return;
    const target = this.#targets.get(keyOf({ host: hello.askedHost, port: hello.askedPort }));
    if (target === undefined || target.isSelf || !isNews(target, hello)) return;
    target.answer = hello;
    target.answered = Math.max(target.answered, hello.answersSequence);
    this.#judge(target, hello);
    this.#heedGivenUp(target.address, hello);
    this.#decide();
  }

  /**
   * The metadata goes on with this node alone (`given_up.ts`). Whoever can be reached is told of the lost ones.
   *
   * @param lost in the lives that they had
   * @param others where those are that can be reached
   */
  goOnWithout(lost: readonly Founder[], others: readonly RpcAddress[] = []): void {
    for (const address of others) this.#addTarget(address, false);
    // Whoever cannot hear it now is asked until it can.
    for (const target of this.#targets.values()) target.answer = null;
    this.#save(goingOnWithout(this.#latest, lost, this.#options.random, this.#self));
  }

  /** Nodes of this node's cluster, which know who was given up, or are to know it. */
  acquaint(others: readonly RpcAddress[]): void {
    for (const address of others) this.#addTarget(address, false);
  }

  /** Lives of which only a part may have been known when they were given up. */
  complete(known: readonly Founder[]): void {
    const state = completed(this.#latest, known);
    if (state !== null) this.#save(state);
  }

  /** All that belongs to {@linkcode goOnWithout} is done. */
  recovered(): void {
    this.#save({ ...this.#latest, isRecovering: false });
  }

  /** Whoever has that address does not talk to this node. */
  met(address: RpcAddress, node: MetNode, nowMs: number): void {
    this.#nowMs = nowMs;
    const target = this.#targets.get(keyOf(address));
    if (target !== undefined && !target.isSelf) this.#judge(target, node);
  }

  /** Nobody could be reached at that address; `why` is for people. */
  unreachable(address: RpcAddress, why: string): void {
    const target = this.#targets.get(keyOf(address));
    if (target !== undefined) target.trouble = why;
  }

  /** That address leads back to this process. */
  isSelf(address: RpcAddress): void {
    const target = this.#targets.get(keyOf(address));
    if (target === undefined || target.isSelf) return;
    target.isSelf = true;
    target.answer = null;
    this.#decide();
  }

  /** What `save` was asked to write could not be: nothing has changed. */
  notSaved(): void {
    this.#saving = null;
    this.#next = null;
  }

  /** What `save` was asked to write is durable. */
  saved(): void {
    const state = this.#saving;
    if (state === null || this.#stage === "refused") return;
    this.#saving = null;
    this.#state = state;
    this.#addGivenUpTargets();
    if (state.clusterId === "") this.#addPledgedTargets();
    else if (!this.#hasEnded) this.#becomeFormed();
    // Whoever waits for this hears of it at once.
    for (const target of this.#targets.values()) {
      if (!target.isSelf) this.#ask(target, this.#nowMs);
    }
    this.#decide();
    const next = this.#next;
    this.#next = null;
    if (next !== null) this.#save(next);
  }

  /** What a start waits for, for people. */
  get waitsFor(): string {
    const silent = [...this.#targets.values()].filter((target) =>
      !target.isSelf && target.answer === null
    );
    if (silent.length > 0) return `no answer yet from ${silent.map(describeSilent).join(", ")}`;
    const view = this.#view();
    if (typeof view === "string") return view;
    if (!this.#mayLeavePledge("")) {
      const { nodeId, host, port } = this.#state.pledge!.founders[0]!;
      const where = hostPort(host, port);
      return `this node has agreed to found a cluster with node ${nodeId}, and must hear from ${where} what ` +
        "became of it; if that node is gone for good, empty this one's data directory";
    }
    const [first] = view;
    if (first!.nodeId === this.#self.nodeId) {
      const missing = view.filter((founder) => !this.#hasAgreed(founder));
      return `nodes ${missing.map(({ nodeId }) => nodeId).join(", ")} have not agreed to found a ` +
        "cluster of these seeds; do all have the same --seeds?";
    }
    const { nodeId } = first!;
    return `node ${nodeId} has not proposed a cluster of these seeds; do all have the same --seeds?`;
  }

  #onQuestion(hello: NodeHello): void {
    const asked = { host: hello.askedHost, port: hello.askedPort };
    if (hello.process === this.#options.process) return this.isSelf(asked);
    const { process: answersProcess, sequence: answersSequence } = hello;
    const answer = { ...this.#hello(asked), answersProcess, answersSequence };
    this.#effects.send({ host: hello.host, port: hello.port }, answer);
    this.#heedGivenUp(hello, hello);
    const mayAsk = this.#stage === "formed" && this.#targets.size < TARGETS_MAX;
    if (mayAsk && hello.clusterId === this.#state.clusterId) this.#addTarget(hello, false);
    // A question says as much of the sender as an answer; where it is, only an answer says.
    for (const target of this.#targets.values()) {
      const known = target.answer;
      if (known?.incarnation === hello.incarnation && isLater(hello, known)) target.answer = hello;
    }
    this.#decide();
  }

  /** Nodes that must not run together. */
  #judge(target: Target, answer: MetNode): void {
    const { nodeId, incarnation } = this.#self;
    const where = nameOf(target.address);
    let problem = "";
    if (answer.incarnation === incarnation) {
      problem =
        `the data directory of this node and that of the node at ${where} are copies of each ` +
        "other: empty the one that is the copy, and give that node a --node-id of its own";
    } else if (answer.nodeId === nodeId) {
      problem =
        `this node and the one at ${where} both have the id ${nodeId}: start one of them with ` +
        "another --node-id (and an empty data directory)";
    } else if (
      this.#state.clusterId !== "" && answer.clusterId !== "" &&
      answer.clusterId !== this.#state.clusterId
    ) {
      problem =
        `this node belongs to the cluster ${this.#state.clusterId}, and the seed ${where} to ` +
        `${answer.clusterId}: correct --seeds, or start with an empty data directory`;
    }
    if (problem === "") return;
    if (this.#stage === "deciding") this.#refuse(problem);
    else if (!target.warned) this.#effects.warn(problem);
    target.warned = true;
  }

  /** Whom the cluster gave up, this node or others, which are to hear of it from this one, too. */
  #heedGivenUp(address: RpcAddress, hello: NodeHello): void {
    const heeded = heed(this.#state, this.#self, hello, nameOf(address));
    const { expulsion, warning, learned } = heeded;
    if (expulsion !== null) return this.#effects.expel(expulsion);
    if (warning !== null && warning !== this.#warning) this.#effects.warn(warning);
    this.#warning = warning ?? this.#warning;
    if (learned === null || this.#stage !== "formed" || this.#saving !== null) return;
    this.#save(learned);
  }

  #decide(): void {
    if (this.#stage !== "deciding" || this.#saving !== null) return;
    const cluster = this.#clusterToJoin();
    if (this.#hasEnded) return;
    if (cluster !== null) {
      this.#proposal = null;
      if (!this.#hasListened()) return;
      if (this.#mayLeavePledge(cluster.clusterId)) this.#save({ ...cluster, pledge: null });
      return;
    }
    const view = this.#view();
    if (typeof view === "string") {
      this.#proposal = null;
      return;
    }
    if (view[0]!.nodeId === this.#self.nodeId) this.#propose(view);
    else this.#agree(view);
  }

  /** The cluster that a seed belongs to. */
  #clusterToJoin(): Omit<FoundingState, "pledge"> | null {
    let found: Target | null = null;
    for (const target of this.#targets.values()) {
      const clusterId = target.answer?.clusterId ?? "";
      // Of those that are not seeds only the cluster counts that this node agreed to found.
      if (clusterId === "") continue;
      if (!target.isSeed && clusterId !== this.#state.pledge?.clusterId) continue;
      if (found !== null && clusterId !== found.answer!.clusterId) {
        const [one, other] = [nameOf(found.address), nameOf(target.address)];
        this.#refuse(
          `the seeds belong to different clusters, ${one} to ${
            found.answer!.clusterId
          } and ${other} to ` +
            `${clusterId}: name the nodes of one cluster`,
        );
        return null;
      }
      found = target;
    }
    if (found === null) return null;
    const { clusterId, founders, givenUp } = found.answer!;
    return givenUp.length === 0 ? { clusterId, founders } : { clusterId, founders, givenUp };
  }

  get #hasEnded(): boolean {
    return this.#stage !== "deciding";
  }

  /** Every seed has said where it belongs, or has had its time. */
  #hasListened(): boolean {
    if (this.#joinableMs < 0) this.#joinableMs = this.#nowMs;
    if (this.#nowMs - this.#joinableMs >= JOIN_PATIENCE_MS) return true;
    return [...this.#targets.values()].every(({ isSelf, answer, trouble }) =>
      isSelf || answer !== null || trouble !== ""
    );
  }

  /** The nodes at the seeds, by id, this one included; or what is missing, for people. */
  #view(): readonly Founder[] | string {
    const view: Founder[] = [];
    let hasSelf = false;
    for (const { isSeed, isSelf, answer, address } of this.#targets.values()) {
      if (!isSeed) continue;
      if (isSelf) {
        if (!hasSelf) view.push(this.#self);
        hasSelf = true;
        continue;
      }
      if (answer === null) return `no answer yet from ${nameOf(address)}`;
      const { nodeId, incarnation, host, port } = answer;
      const twin = view.find((founder) => founder.nodeId === nodeId);
      if (twin === undefined) view.push({ nodeId, incarnation, host, port });
      else if (twin.incarnation !== incarnation || twin.host !== host || twin.port !== port) {
        return `the nodes at ${nameOf(twin)} and ${nameOf(address)} both have the id ${nodeId}`;
      }
    }
    if (!hasSelf) {
      return "this node is not one of the --seeds, and these have not founded a cluster";
    }
    return view.sort((a, b) => a.nodeId - b.nodeId);
  }

  /** This node has the lowest id. */
  #propose(view: readonly Founder[]): void {
    if (this.#proposal === null || !sameFounders(this.#proposal.founders, view)) {
      if (!this.#mayLeavePledge("")) return;
      const clusterId = uuidToBase64(newUuid(this.#options.random));
      this.#proposal = { clusterId, founders: view };
      for (const target of this.#targets.values()) {
        if (!target.isSelf) this.#ask(target, this.#nowMs);
      }
    }
    if (!view.every((founder) => this.#hasAgreed(founder))) return;
    this.#save({ ...this.#proposal, pledge: null });
  }

  #hasAgreed(founder: Founder): boolean {
    if (this.#proposal === null) return false;
    if (founder.nodeId === this.#self.nodeId) return true;
    return this.#answerOf(founder.incarnation)?.proposalId === this.#proposal.clusterId;
  }

  /** Another node has the lowest id. */
  #agree(view: readonly Founder[]): void {
    this.#proposal = null;
    const answer = this.#answerOf(view[0]!.incarnation);
    if (answer === null || answer.proposalId === "") return;
    const proposed = { clusterId: answer.proposalId, founders: answer.founders };
    // It may have agreed to somebody else's proposal.
    if (!sameFounders(proposed.founders, view)) return;
    if (this.#state.pledge?.clusterId === proposed.clusterId) return;
    if (!this.#mayLeavePledge(proposed.clusterId)) return;
    this.#pledgedOn = answer;
    this.#save({ ...UNFORMED, pledge: proposed });
  }

  /** Whether what this node agreed to can no longer become a cluster, or is `clusterId` itself. */
  #mayLeavePledge(clusterId: string): boolean {
    const { pledge } = this.#state;
    if (pledge === null || pledge.clusterId === clusterId) return true;
    const proposer = pledge.founders[0]!;
    const answer = this.#answerOf(proposer.incarnation);
    if (answer !== null) {
      // A message from before the proposal says nothing about it.
      const said = this.#pledgedOn;
      if (said?.incarnation === answer.incarnation && !isLater(answer, said)) return false;
      return answer.clusterId !== pledge.clusterId && answer.proposalId !== pledge.clusterId;
    }
    // Somebody else at its address: it lost its disk, perhaps after it had decided.
    return pledge.founders.every((founder) => {
      const target = this.#targets.get(keyOf(founder));
      if (target?.isSelf === true || founder.incarnation === this.#self.incarnation) return true;
      const known = this.#answerOf(founder.incarnation) ?? target?.answer ?? null;
      return known !== null && known.clusterId !== pledge.clusterId;
    });
  }

  #answerOf(incarnation: Uuid): NodeHello | null {
    for (const { answer } of this.#targets.values()) {
      if (answer?.incarnation === incarnation) return answer;
    }
    return null;
  }

  /** What the data directory keeps when all is written. */
  get #latest(): FoundingState {
    return this.#next ?? this.#saving ?? this.#state;
  }

  #save(state: FoundingState): void {
    if (this.#saving !== null) {
      this.#next = state;
      return;
    }
    this.#saving = state;
    this.#effects.save(state);
  }

  #becomeFormed(): void {
    this.#stage = "formed";
    this.#proposal = null;
    this.#effects.formed(this.#state);
  }

  #refuse(reason: string): void {
    if (this.#stage !== "deciding") return;
    this.#stage = "refused";
    this.#effects.refuse(reason);
  }

  #addTarget(address: RpcAddress, isSeed: boolean): void {
    const key = keyOf(address);
    if (this.#targets.has(key)) return;
    this.#targets.set(key, {
      address: { host: address.host, port: address.port },
      isSeed,
      isSelf: key === keyOf(this.#options.address),
      answer: null,
      answered: -1,
      askedMs: -HELLO_INTERVAL_FORMED_MS,
      trouble: "",
      warned: false,
    });
  }

  /** Whether a proposal came true, its founders know. */
  #addPledgedTargets(): void {
    for (const [key, { isSeed }] of this.#targets) if (!isSeed) this.#targets.delete(key);
    for (const founder of this.#state.pledge?.founders ?? []) {
      if (founder.incarnation !== this.#self.incarnation) this.#addTarget(founder, false);
    }
  }

  /** Those who run on and do not ask are told. */
  #addGivenUpTargets(): void {
    for (const node of this.#state.givenUp ?? []) if (isTold(node)) this.#addTarget(node, false);
  }

  #isDue(target: Target, nowMs: number): boolean {
    return !target.isSelf && target.askedMs + this.#intervalOf(target) <= nowMs;
  }

  #intervalOf({ answer }: Target): number {
    if (this.#stage !== "formed") return HELLO_INTERVAL_MS;
    // Until it has said which cluster it belongs to, and both know the same nodes to be given up: a write may fail.
    const isDone = answer !== null && answer.clusterId !== "" && !isBehind(this.#state, answer);
    return isDone ? Infinity : HELLO_INTERVAL_FORMED_MS;
  }

  #ask(target: Target, nowMs: number): void {
    target.askedMs = nowMs;
    this.#effects.send(target.address, this.#hello(target.address));
  }

  #hello(asked: RpcAddress): NodeHello {
    const { nodeId, incarnation, host, port } = this.#self;
    const { clusterId, founders, pledge } = this.#state;
    const agreed = clusterId === "" ? this.#proposal ?? pledge : null;
    return newNodeHello({
      nodeId,
      incarnation,
      process: this.#options.process,
      run: this.#options.run,
      sequence: this.#sequence++,
      host,
      port,
      clusterId,
      proposalId: agreed?.clusterId ?? "",
      founders: [...(agreed?.founders ?? founders)],
      askedHost: asked.host,
      askedPort: asked.port,
      givenUp: toldOf(this.#state),
    });
  }
}

/** Whether this node is one of those that founded its cluster, in its present life. */
export function isFounder(state: FoundingState, incarnation: Uuid): boolean {
  return hasLife(state.founders, { incarnation });
}

function sameFounders(a: readonly Founder[], b: readonly Founder[]): boolean {
  return a.length === b.length && a.every(({ nodeId, incarnation }, at) => {
    const other = b[at]!;
    return nodeId === other.nodeId && incarnation === other.incarnation;
  });
}
