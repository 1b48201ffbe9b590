/**
 * The core alone, from a seed: a few nodes, everything that can go wrong, then peace.
 *
 * First anything may fail, and the checker watches. Then all faults end, and within a bounded time there must be one
 * leader, equal logs and, when nobody asks for anything, silence. Every seed leaves out about half of the faults.
 */

import { assert } from "../base/assert.ts";
import { Xoshiro128 } from "../base/prng.ts";
import { type Member, memberOf } from "./configuration.ts";
import { RAFT_TIMING } from "./limits.ts";
import { Role } from "./raft_group.ts";
import { CALM, simple, TestCluster } from "./test_cluster.ts";
import type { TestNode } from "./test_node.ts";

const DELAYS: readonly (readonly [number, number])[] = [[0, 2], [1, 10], [1, 80], [5, 400]];
const FLUSHES: readonly (readonly [number, number])[] = [[1, 3], [1, 20], [5, 200]];
const FAULTY_MS = 15_000;
/** After so much peace there is a leader; and after so much idleness, silence. */
const ELECTION_MS = 15_000;
const SILENCE_MS = 6_000;

export interface Outcome {
  readonly hash: number;
  readonly committed: number;
  readonly elections: number;
  readonly configurations: number;
  readonly reads: number;
}

export class RaftSimulation {
  readonly #seed: number;
  readonly #random: Xoshiro128;
  readonly #cluster: TestCluster;
  readonly #everybody: readonly number[];
  readonly #acts: readonly (() => void)[];
  #value = 1;
  #configurations = 0;
  /** Members change all the time, and nodes are parted in the middle of it. */
  readonly #isStorm: boolean;

  constructor(seed: number) {
    this.#seed = seed;
    const random = new Xoshiro128(seed);
    this.#random = random;
    const isStorm = this.#chance(25);
    this.#isStorm = isStorm;
    const voters = isStorm ? 3 : this.#pick([1, 2, 3, 3, 3, 4, 5]);
    const spare = isStorm || this.#chance(60) ? 1 + random.nextBelow(2) : 0;
    this.#everybody = Array.from({ length: voters + spare }, (_, at) => at + 1);
    const [delayMinMs, delayMaxMs] = isStorm ? DELAYS[0]! : this.#pick(DELAYS);
    const isLossy = this.#chance(50);
    this.#cluster = new TestCluster(simple(...this.#everybody.slice(0, voters)), {
      seed: random.nextUint32(),
      nodes: this.#everybody,
      link: {
        delayMinMs,
        delayMaxMs,
        lost: isLossy ? random.nextBelow(200) : 0,
        doubled: this.#chance(50) ? random.nextBelow(200) : 0,
        inOrder: this.#chance(50),
      },
      flush: isStorm ? FLUSHES[0]! : this.#pick(FLUSHES),
      read: this.#chance(50) ? [0, 0] : [0, 30],
      lanes: this.#chance(50),
      timing: { ...RAFT_TIMING, quietMs: this.#pick([200, RAFT_TIMING.quietMs]) },
    });
    const possible: readonly (() => void)[] = [
      () => this.#crash(false),
      () => this.#crash(true),
      () => this.#part(),
      () => this.#partOneWay(),
      () => this.#split(),
      () => this.#stall(),
      () => this.#refuse(),
      () => this.#transfer(),
      () => this.#trim(),
      () => this.#wipe(),
      () => this.#failCuts(),
    ];
    this.#acts = possible.filter(() => this.#chance(isStorm ? 20 : 50));
  }

  /** Keeps the lines of the trace. */
  traced(): string[] {
    return this.#cluster.lines ??= [];
  }

  run(): Outcome {
    const cluster = this.#cluster;
    cluster.start();
    const pauseMs = this.#pick([50, 300, 1_500]);
    const writeMs = this.#pick([5, 40, 400, 3_000]);
    this.#repeat(writeMs, () => this.#propose());
    this.#repeat(pauseMs, () => {
      if (this.#acts.length > 0) this.#pick(this.#acts)();
    });
    if (this.#chance(50)) this.#repeat(3_000, () => this.#healAll());
    if (this.#isStorm) this.#repeat(40, () => this.#reconfigure());
    else if (this.#chance(30)) this.#repeat(300, () => this.#reconfigure());
    if (this.#chance(50)) this.#repeat(this.#pick([30, 300]), () => this.#read());
    cluster.run(FAULTY_MS);
    this.#checkPeace();
    let reads = 0;
    for (const { confirmedReads } of cluster.nodes.values()) reads += confirmedReads;
    return {
      hash: cluster.hash,
      committed: cluster.checker.committedIndex,
      elections: cluster.checker.elections,
      configurations: this.#configurations,
      reads,
    };
  }

  #chance(percent: number): boolean {
    return this.#random.nextBelow(100) < percent;
  }

  #pick<T>(values: readonly T[]): T {
    return values[this.#random.nextBelow(values.length)]!;
  }

  /** Does something again and again while faults are allowed. */
  #repeat(meanMs: number, act: () => void): void {
    const { queue } = this.#cluster;
    const next = (): void => {
      const atMs = queue.nowMs + 1 + this.#random.nextBelow(2 * meanMs);
      if (atMs >= FAULTY_MS) return;
      queue.at(atMs, () => {
        act();
        next();
      });
    };
    next();
  }

  #aNode(): TestNode {
    return this.#cluster.node(this.#pick(this.#everybody));
  }

  #propose(): void {
    // Whoever believes that it leads takes what it is given.
    for (const node of this.#cluster.nodes.values()) {
      if (!node.isAlive || !node.group.accepts) continue;
      const count = 1 + this.#random.nextBelow(4);
      node.propose(Array.from({ length: count }, () => this.#value++));
    }
  }

  #crash(isSilent: boolean): void {
    const node = this.#aNode();
    const { queue } = this.#cluster;
    if (!node.isAlive) return;
    this.#cluster.crash(node.id, isSilent);
    queue.at(queue.nowMs + this.#random.nextBelow(3_000), () => {
      if (!this.#cluster.node(node.id).isAlive) this.#cluster.restart(node.id);
    });
  }

  /** A disk is replaced by an empty one, if the voters that are left suffice. */
  #wipe(): void {
    const leader = this.#cluster.leader;
    const node = this.#aNode();
    if (leader === null || node === leader || !node.isAlive) return;
    const { group } = leader;
    if (!group.isConfigurationSettled) return;
    const { voters } = group.configuration;
    const left = voters.filter((each) => each.node !== node.id && this.#isPresent(each)).length;
    if (left <= voters.length / 2) return;
    this.#cluster.crash(node.id);
    this.#cluster.restart(node.id, true);
  }

  /** Its disk is that of the node which runs. */
  #isPresent({ node, incarnation }: Member): boolean {
    return this.#cluster.node(node).incarnation === incarnation;
  }

  #part(): void {
    const node = this.#aNode();
    if (this.#chance(50)) this.#cluster.isolate(node.id);
    else {
      const other = this.#aNode();
      if (other !== node) this.#cluster.part(node.id, other.id);
    }
    this.#healLater();
  }

  /** Two halves that do not hear each other. */
  #split(): void {
    const half = this.#everybody.filter(() => this.#chance(50));
    for (const a of half) {
      for (const b of this.#everybody) if (!half.includes(b)) this.#cluster.part(a, b);
    }
    this.#healLater();
  }

  #partOneWay(): void {
    const node = this.#aNode();
    for (const id of this.#everybody) {
      if (id !== node.id && this.#chance(60)) {
        if (this.#chance(50)) this.#cluster.block(node.id, id);
        else this.#cluster.block(id, node.id);
      }
    }
    this.#healLater();
  }

  #healLater(): void {
    const { queue } = this.#cluster;
    queue.at(queue.nowMs + this.#random.nextBelow(5_000), () => this.#cluster.heal());
  }

  /** A disk does nothing for a while; perhaps the node notices. */
  #stall(): void {
    const node = this.#aNode();
    const cluster = this.#cluster;
    cluster.freeze(node.id);
    const isNoticed = this.#chance(50);
    if (isNoticed) {
      node.later(500, () => {
        if (cluster.frozen.has(node.id)) this.#setStalled(node, true);
      });
    }
    cluster.queue.at(cluster.queue.nowMs + this.#random.nextBelow(4_000), () => {
      cluster.thaw(node.id);
      if (isNoticed && node.isAlive) this.#setStalled(node, false);
    });
  }

  #setStalled(node: TestNode, isStalled: boolean): void {
    node.group.stalled(isStalled, node.now);
    node.after();
  }

  /** A log takes nothing for a while. */
  #refuse(): void {
    const node = this.#aNode();
    node.setBusy(true);
    const { queue } = this.#cluster;
    queue.at(queue.nowMs + this.#random.nextBelow(1_000), () => {
      if (node.isAlive) node.setBusy(false);
    });
  }

  /** For a while, nothing can be cut off a log. */
  #failCuts(): void {
    const node = this.#aNode();
    const { queue } = this.#cluster;
    node.failsCuts = true;
    queue.at(queue.nowMs + this.#random.nextBelow(2_000), () => node.failsCuts = false);
  }

  #transfer(): void {
    const leader = this.#cluster.leader;
    if (leader === null) return;
    leader.group.transfer(this.#pick(this.#everybody), leader.now);
    leader.after();
  }

  #trim(): void {
    const node = this.#aNode();
    if (!node.isAlive || node.log.isClosed) return;
    const index = Math.min(node.group.commitIndex, node.log.durableIndex);
    node.log.trim(node.log.pointAt(index - this.#random.nextBelow(30)));
    node.after();
  }

  #read(): void {
    for (const node of this.#cluster.nodes.values()) if (node.isAlive) node.read();
  }

  #reconfigure(): void {
    const leader = this.#cluster.leader;
    if (leader === null) return;
    const { group } = leader;
    let index = this.#forget(leader);
    if (index === null && !group.isConfigurationSettled && this.#chance(30)) {
      index = group.cancelConfiguration(leader.now);
    }
    // One change at a time: some of these must be refused.
    index ??= this.#move(leader, this.#pick(this.#everybody));
    leader.after();
    if (index < 0) return;
    this.#configurations++;
    if (this.#isStorm && this.#chance(15)) this.#split();
  }

  /** Takes members off whose disks are gone; null when there are none. */
  #forget({ group, now }: TestNode): number | null {
    const { voters, learners } = group.configuration;
    const present = [voters, learners].map((set) => set.filter((each) => this.#isPresent(each)));
    if (present[0]!.length + present[1]!.length === voters.length + learners.length) return null;
    return group.proposeConfiguration(present[0]!, present[1]!, now);
  }

  /** Adds nodes as learners, or shares out anew who of the members votes. */
  #move({ group, now }: TestNode, id: number): number {
    const { voters, learners } = group.configuration;
    const inside = [...voters, ...learners];
    if (memberOf(inside, id) === null) {
      const self = { node: id, incarnation: this.#cluster.node(id).incarnation };
      return group.proposeConfiguration(voters, [...learners, self], now);
    }
    const chosen = inside.filter(() => this.#chance(50));
    const isKept = this.#chance(80);
    const rest = inside.filter((each) => !chosen.includes(each) && isKept);
    return group.proposeConfiguration(chosen, rest, now);
  }

  #healAll(): void {
    this.#cluster.heal();
    for (const node of this.#cluster.nodes.values()) {
      if (!node.isAlive) this.#cluster.restart(node.id);
    }
  }

  /** All faults end: the group must work again, and then be silent. */
  #checkPeace(): void {
    const cluster = this.#cluster;
    const { checker, network } = cluster;
    cluster.trace("peace");
    network.plan = CALM;
    cluster.flush = [1, 3];
    cluster.heal();
    for (const node of [...cluster.nodes.values()]) {
      cluster.thaw(node.id);
      if (!node.isAlive) cluster.restart(node.id);
      else {
        node.setBusy(false);
        node.failsCuts = false;
        this.#setStalled(node, false);
      }
    }
    cluster.run(ELECTION_MS);
    const leader = cluster.leader;
    assert(leader !== null, `seed ${this.#seed}: no leader in time`);
    const leaders = cluster.candidates.length;
    assert(leaders === 1, `seed ${this.#seed}: ${leaders} leaders in the end`);
    this.#forget(leader);
    leader.after();
    cluster.run(2_000);
    assert(leader.group.isConfigurationSettled, `seed ${this.#seed}: a change does not end`);
    const index = leader.propose([this.#value++]);
    assert(index > 0, `seed ${this.#seed}: the leader takes nothing`);
    cluster.run(1_000);
    assert(checker.committedIndex >= index, `seed ${this.#seed}: nothing is committed`);
    cluster.run(SILENCE_MS);
    const { voters, learners } = leader.group.configuration;
    const inside = [...voters, ...learners].map(({ node }) => cluster.node(node));
    checker.checkEqual(inside);
    for (const { id, group } of inside) {
      assert(group.isQuiet, `seed ${this.#seed}: ${id} is not quiet`);
      assert(group.deadlineMs === Infinity, `seed ${this.#seed}: ${id} wants to be ticked`);
    }
    assert(leader.group.role === Role.LEADER, `seed ${this.#seed}: the leader changed`);
    assert(memberOf(voters, leader.id) !== null, `seed ${this.#seed}: the leader is no voter`);
    this.#checkFailover(leader);
  }

  /** The leader of a silent group dies: another one leads soon, if a majority is left. */
  #checkFailover(leader: TestNode): void {
    const cluster = this.#cluster;
    const { voters } = leader.group.configuration;
    if (voters.length < 3) return;
    cluster.crash(leader.id, this.#chance(50));
    const isReplaced = cluster.runUntil(() => (cluster.leader ?? leader) !== leader, 5_000);
    assert(isReplaced, `seed ${this.#seed}: nobody replaces a leader that died`);
  }
}
