/**
 * Kills the brokers of a cluster while clients work with it.
 *
 * @module
 */

import { Xoshiro128 } from "../../src/base/prng.ts";
import { ClusterLinks } from "../cluster/cluster_links.ts";
import { parseAddress, pause } from "../crash/link.ts";
import type { Broker } from "../harness/broker.ts";
import type { LocalCluster } from "../harness/local_cluster.ts";

const SEED = Number(Deno.env.get("GREGOR_CRASH_SEED") ?? Date.now() % 2 ** 31);

/** Kills one broker after another, each when the last one is back, until told to stop. */
export class Killer {
  readonly #cluster: LocalCluster;
  readonly #links: ClusterLinks;
  readonly #random = new Xoshiro128(SEED);
  #stopped = false;
  kills = 0;

  constructor(cluster: LocalCluster) {
    this.#cluster = cluster;
    this.#links = new ClusterLinks(cluster.brokers.map(({ kafka }) => parseAddress(kafka)));
  }

  async run(topic: string): Promise<void> {
    while (!this.#stopped) {
      await pause(500 + this.#random.nextBelow(1_500));
      const victim = await this.#victim(topic);
      await victim.kill();
      this.kills++;
      await pause(this.#random.nextBelow(500));
      await victim.restart();
    }
  }

  async #victim(topic: string): Promise<Broker> {
    const random = this.#random.nextBelow(this.#cluster.brokers.length);
    const leader = await this.#links.leaderOf(topic, 0).catch(() => -1);
    const isRandom = leader < 0 || this.#random.nextBelow(3) === 0;
    return this.#cluster.brokers[isRandom ? random : leader]!;
  }

  stop(): void {
    this.#stopped = true;
  }
}
