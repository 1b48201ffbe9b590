/**
 * A broker whose disk obeys: faults are ordered through the file that `src/shard/fault_file.ts` reads.
 *
 * @module
 */

import { Broker, type BrokerOptions } from "../harness/broker.ts";
import { type DiskFault, FaultOrders } from "./fault_orders.ts";

export type { DiskFault };

/** Small rings: checkpoints come all the time, and starts are quick. */
export const SMALL_RINGS: readonly string[] = [
  "--set=journal.extent.bytes=4194304",
  "--set=journal.extents=4",
  "--set=offsets.topic.num.partitions=4",
];

export class FaultyBroker {
  readonly broker: Broker;
  readonly #directory: string;
  readonly #orders: FaultOrders;

  private constructor(broker: Broker, directory: string, orders: FaultOrders) {
    this.broker = broker;
    this.#directory = directory;
    this.#orders = orders;
  }

  static async start(options: BrokerOptions = {}): Promise<FaultyBroker> {
    const directory = Deno.makeTempDirSync({ prefix: "gregor-faults-" });
    const orders = new FaultOrders(`${directory}/faults`);
    try {
      const broker = await Broker.start({
        cores: 2,
        flags: SMALL_RINGS,
        env: orders.env,
        ...options,
      });
      return new FaultyBroker(broker, directory, orders);
    } catch (error) {
      Deno.removeSync(directory, { recursive: true });
      throw error;
    }
  }

  /** See {@linkcode FaultOrders.order}. */
  async order(faults: readonly DiskFault[]): Promise<void> {
    await this.#orders.order(faults);
  }

  /** See {@linkcode FaultOrders.plan}. */
  plan(faults: readonly DiskFault[]): void {
    this.#orders.plan(faults);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.broker.dispose();
    await Deno.remove(this.#directory, { recursive: true });
  }
}
