/**
 * What goes wrong in the network of a simulated cluster while its clients work: links that are slow, links that are cut
 * (one way, both ways, all of a node's at once or one after the other), nodes that are split into two sides,
 * connections that are reset. Each family is absent from about half of the runs.
 *
 * @module
 */

import type { Random } from "../../src/base/prng.ts";
import type { SimCluster } from "./sim_cluster.ts";
import type { Link } from "./sim_network.ts";

export interface NetworkPlan {
  /** What every link takes (virtual ms); null: nothing. */
  readonly delayMs: { readonly min: number; readonly max: number } | null;
  readonly slowLinks: boolean;
  readonly cuts: boolean;
  readonly resets: boolean;
  /** The nodes are split into sides that do not reach each other. */
  readonly splits: boolean;
  /** Pause between two faults at most, and how long a few of them last at most (virtual ms). */
  readonly pauseMsMax: number;
  readonly longMsMax: number;
  readonly longPercent: number;
}

export const PEACEFUL: NetworkPlan = {
  delayMs: null,
  slowLinks: false,
  cuts: false,
  resets: false,
  splits: false,
  // Lives of a node are short where it is alone.
  pauseMsMax: 60,
  longMsMax: 1_500,
  longPercent: 5,
};

/** Every second run has a network without any fault. */
export function networkPlanOf(random: Random): NetworkPlan {
  const half = (): boolean => random.nextBelow(2) === 0;
  if (half()) return PEACEFUL;
  const longest = [0.5, 2, 10][random.nextBelow(3)]!;
  return {
    ...PEACEFUL,
    delayMs: half() ? { min: 0, max: longest } : null,
    slowLinks: half(),
    cuts: half(),
    resets: half(),
  };
}

/** The same for several nodes, whose elections and clients need longer faults to be disturbed. */
export function clusterNetworkPlanOf(random: Random): NetworkPlan {
  const pick = (...values: readonly number[]): number => values[random.nextBelow(values.length)]!;
  const plan = networkPlanOf(random);
  return {
    ...plan,
    splits: plan !== PEACEFUL && random.nextBelow(2) === 0,
    pauseMsMax: pick(200, 1_000, 4_000),
    longMsMax: pick(500, 3_000, 10_000),
    longPercent: pick(10, 40),
  };
}

/** How long most faults last at most (virtual ms). */
const SHORT_MS_MAX = 40;
/** Of a slow link, at most. */
const BYTES_PER_MS_MAX = 200;

export class NetworkFaults {
  readonly #cluster: SimCluster;
  readonly #plan: NetworkPlan;
  readonly #random: Random;
  readonly #clients: () => readonly string[];
  #agenda: { readonly atMs: number; readonly act: () => void }[] = [];
  #nextMs = 0;

  /** @param clients the hosts of the clients */
  constructor(
    cluster: SimCluster,
    plan: NetworkPlan,
    random: Random,
    clients: () => readonly string[],
  ) {
    this.#cluster = cluster;
    this.#plan = plan;
    this.#random = random;
    this.#clients = clients;
    if (plan.delayMs !== null) cluster.network.delayMs = plan.delayMs;
  }

  /** Ends what is over, begins something now and then. */
  tick(): void {
    const { slowLinks, cuts, resets, splits, pauseMsMax } = this.#plan;
    if (!slowLinks && !cuts && !resets && !splits) return;
    const { nowMs } = this.#cluster;
    if (this.#agenda.some(({ atMs }) => atMs <= nowMs)) {
      const due = this.#agenda.filter(({ atMs }) => atMs <= nowMs);
      this.#agenda = this.#agenda.filter(({ atMs }) => atMs > nowMs);
      for (const { act } of due) act();
    }
    if (nowMs < this.#nextMs) return;
    this.#nextMs = nowMs + 1 + this.#random.nextBelow(pauseMsMax);
    const kinds = [
      ...(slowLinks ? [() => this.#slow()] : []),
      ...(cuts ? [() => this.#cutPair(), () => this.#cutWay(), () => this.#swizzle()] : []),
      ...(splits ? [() => this.#split()] : []),
      ...(resets ? [() => this.#reset()] : []),
    ];
    this.#pick(kinds)();
  }

  /** Everything is whole again, and stays so. */
  end(): void {
    this.#agenda = [];
    this.#nextMs = Infinity;
    this.#cluster.network.heal();
    this.#note("the network is healed");
  }

  #slow(): void {
    const [from, to] = this.#way();
    const link = this.#cluster.network.link(from, to);
    link.bytesPerMs = 1 + this.#random.nextBelow(BYTES_PER_MS_MAX);
    this.#note(`${from} → ${to} takes ${link.bytesPerMs} bytes in a ms`);
    this.#later(this.#lastsMs(), () => link.bytesPerMs = Infinity);
  }

  #cutWay(): void {
    const [from, to] = this.#way();
    this.#cut(from, to, 0, this.#lastsMs());
  }

  #cutPair(): void {
    const [from, to] = this.#way();
    const lastsMs = this.#lastsMs();
    this.#cut(from, to, 0, lastsMs);
    this.#cut(to, from, 0, lastsMs);
  }

  /** All links of a node are cut one after the other, and come back in any order. */
  #swizzle(): void {
    const node = this.#pick(this.#nodes);
    const lastsMs = this.#lastsMs();
    for (const other of this.#others(node)) {
      const [from, to] = this.#random.nextBelow(2) === 0 ? [node, other] : [other, node];
      const beginsMs = this.#random.nextBelow(lastsMs);
      this.#cut(from, to, beginsMs, 1 + this.#random.nextBelow(lastsMs));
    }
  }

  /** Some nodes do not reach the others for a while; in one direction only, now and then. */
  #split(): void {
    const nodes = this.#nodes;
    const side = nodes.filter(() => this.#random.nextBelow(2) === 0);
    const isOneWay = this.#random.nextBelow(4) === 0;
    const lastsMs = this.#lastsMs();
    for (const from of side) {
      for (const to of nodes) {
        if (side.includes(to)) continue;
        this.#cut(from, to, 0, lastsMs);
        if (!isOneWay) this.#cut(to, from, 0, lastsMs);
      }
    }
  }

  #reset(): void {
    const { connections } = this.#cluster.network;
    if (connections.length === 0) return;
    const connection = this.#pick(connections);
    this.#note(`${connection.from} → ${connection.to} is reset`);
    connection.reset();
  }

  #cut(from: string, to: string, beginsMs: number, lastsMs: number): void {
    const link = this.#cluster.network.link(from, to);
    const begin = (): void => {
      this.#note(`${from} → ${to} is cut`);
      link.cut = true;
      this.#later(lastsMs, () => this.#mend(link, `${from} → ${to}`));
    };
    if (beginsMs === 0) begin();
    else this.#later(beginsMs, begin);
  }

  #mend(link: Link, name: string): void {
    if (link.cut) this.#note(`${name} is whole`);
    link.cut = false;
  }

  get #nodes(): string[] {
    return this.#cluster.nodes.map(({ name }) => name);
  }

  #others(node: string): string[] {
    return [...this.#nodes.filter((host) => host !== node), ...this.#clients()];
  }

  /** A link that somebody uses: from a node or to one. */
  #way(): [string, string] {
    const node = this.#pick(this.#nodes);
    const other = this.#pick(this.#others(node));
    return this.#random.nextBelow(2) === 0 ? [node, other] : [other, node];
  }

  #lastsMs(): number {
    const { longPercent, longMsMax } = this.#plan;
    const isLong = this.#random.nextBelow(100) < longPercent;
    return 1 + this.#random.nextBelow(isLong ? longMsMax : SHORT_MS_MAX);
  }

  #later(ms: number, act: () => void): void {
    this.#agenda.push({ atMs: this.#cluster.nowMs + ms, act });
  }

  #note(what: string): void {
    this.#cluster.trace?.note("network", what);
  }

  #pick<T>(from: readonly T[]): T {
    return from[this.#random.nextBelow(from.length)]!;
  }
}
