/**
 * Logs for which the host forbids what their next record needs: a permission is missing, or something else has the name.
 *
 * Their appends are refused until the host allows it. That is told once, as damage of the partition with which nothing is lost, and
 * taken back when it is over.
 *
 * @module
 */

import type { PartitionLog } from "./partition_log.ts";
import type { ExtentPlace, StorageContext } from "./shard_storage.ts";

export class ForbiddenLogs {
  readonly #context: StorageContext;
  readonly #places = new Map<PartitionLog, ExtentPlace>();

  constructor(context: StorageContext) {
    this.#context = context;
  }

  /** @param errno negative */
  note(log: PartitionLog, file: string, position: number, errno: number): void {
    if (this.#places.has(log)) return;
    const { groupId } = log;
    this.#places.set(log, { groupId, file, position });
    const lost = `Nothing: the host forbids what its next record needs, errno ${-errno}`;
    this.#context.onDamage({ file, position, lost, groupId });
  }

  /** What was forbidden went well. */
  allow(log: PartitionLog): void {
    const place = this.#places.get(log);
    if (place === undefined) return;
    this.#places.delete(log);
    this.#context.onReadable?.(place);
  }

  /** The log is deleted. */
  forget(log: PartitionLog): void {
    this.#places.delete(log);
  }
}
