/**
 * A broker whose disk obeys: faults are ordered through the file that `src/shard/fault_file.ts` reads.
 *
 * @module
 */

import { Broker, type BrokerOptions } from "../harness/broker.ts";
import { pause } from "./link.ts";

/** One rule of `src/shard/fault_file.ts`. */
export interface DiskFault {
  readonly ops: readonly string[];
  readonly file?: string;
  readonly errno?: number;
  readonly perform?: boolean;
  readonly short?: boolean;
  readonly delayUs?: number;
  readonly skip?: number;
  readonly count?: number;
}

/** Small rings: checkpoints come all the time, and starts are quick. */
export const SMALL_RINGS: readonly string[] = [
  "--set=journal.extent.bytes=4194304",
  "--set=journal.extents=4",
  "--set=offsets.topic.num.partitions=4",
];

const OBEYED_MS = 10_000;

export class FaultyBroker {
  readonly broker: Broker;
  readonly #directory: string;
  readonly #file: string;
  #sequence = 0;

  private constructor(broker: Broker, directory: string) {
    this.broker = broker;
    this.#directory = directory;
    this.#file = `${directory}/faults`;
  }

  static async start(options: BrokerOptions = {}): Promise<FaultyBroker> {
    const directory = Deno.makeTempDirSync({ prefix: "gregor-faults-" });
    try {
      const broker = await Broker.start({
        cores: 2,
        flags: SMALL_RINGS,
        env: { GREGOR_X_FAULTS: `${directory}/faults` },
        ...options,
      });
      return new FaultyBroker(broker, directory);
    } catch (error) {
      Deno.removeSync(directory, { recursive: true });
      throw error;
    }
  }

  /** These faults and no others, from now on; resolves when they are in force. */
  async order(faults: readonly DiskFault[]): Promise<void> {
    this.#write(faults);
    const deadlineMs = performance.now() + OBEYED_MS;
    while (this.#obeyed() !== this.#sequence) {
      if (performance.now() > deadlineMs) throw new Error("The broker does not read its faults");
      await pause(10);
    }
  }

  /** These faults and no others from the next start on: while nobody runs who would say so. */
  plan(faults: readonly DiskFault[]): void {
    this.#write(faults);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.broker.dispose();
    await Deno.remove(this.#directory, { recursive: true });
  }

  #write(rules: readonly DiskFault[]): void {
    this.#sequence++;
    Deno.writeTextFileSync(
      `${this.#file}.new`,
      JSON.stringify({ sequence: this.#sequence, rules }),
    );
    Deno.renameSync(`${this.#file}.new`, this.#file);
  }

  #obeyed(): number {
    try {
      return Number(Deno.readTextFileSync(`${this.#file}.done`));
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return -1;
      throw error;
    }
  }
}
