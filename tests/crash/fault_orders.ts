/**
 * Faults that a running broker's disk is ordered to have, through the file that `src/shard/fault_file.ts` reads.
 *
 * @module
 */

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

const OBEYED_MS = 10_000;

export class FaultOrders {
  readonly #file: string;
  #sequence = 0;

  /** @param file that the broker's environment names */
  constructor(file: string) {
    this.#file = file;
  }

  /** What the broker's environment needs. */
  get env(): Readonly<Record<string, string>> {
    return { GREGOR_X_FAULTS: this.#file };
  }

  /** These faults and no others, from now on; resolves when they are in force. */
  async order(faults: readonly DiskFault[]): Promise<void> {
    this.plan(faults);
    const deadlineMs = performance.now() + OBEYED_MS;
    while (this.#obeyed() !== this.#sequence) {
      if (performance.now() > deadlineMs) throw new Error("The broker does not read its faults");
      await pause(10);
    }
  }

  /** These faults and no others from the next start on: while nobody runs who would say so. */
  plan(rules: readonly DiskFault[]): void {
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
