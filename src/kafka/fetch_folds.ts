/**
 * Finds the partitions that a full fetch names twice, so that each costs its memory once.
 *
 * Real requests name few partitions, and those are compared one by one. A request that names many is
 * looked up in a map, which is emptied after each request.
 *
 * @module
 */

import type { FetchOperation } from "./fetch_operation.ts";
import type { FetchPart } from "./fetch_part.ts";

/** From this many partitions on the map is used. */
const MAP_SINCE = 16;
const PARTITION_RANGE = 2 ** 32;

export class FetchFolds {
  readonly #parts = new Map<number, FetchPart>();
  readonly #topics = new Map<string, number>();
  #byId = false;
  #topic = "";
  #topicNumber = -1;

  /** Starts a request, which names its topics by id or by name. */
  begin(byId: boolean): void {
    this.#byId = byId;
  }

  /** Goes on with a topic, named as the request does. */
  enter(topic: string): void {
    this.#topic = topic;
    this.#topicNumber = -1;
  }

  /** The part of `operation` for this partition of the topic, or null. */
  find(operation: FetchOperation, partition: number): FetchPart | null {
    const { parts, partCount } = operation;
    if (partCount < MAP_SINCE) {
      for (let i = 0; i < partCount; i++) {
        const { asked } = parts[i]!;
        if (asked.partition === partition && this.#name(parts[i]!) === this.#topic) {
          return parts[i]!;
        }
      }
      return null;
    }
    if (this.#parts.size === 0) {
      for (let i = 0; i < partCount; i++) {
        const part = parts[i]!;
        this.#parts.set(key(this.#numberOf(this.#name(part)), part.asked.partition), part);
      }
    }
    return this.#parts.get(this.#key(partition)) ?? null;
  }

  /** Notes a part of the topic that was added because it was not found. */
  note(part: FetchPart): void {
    if (this.#parts.size > 0) this.#parts.set(this.#key(part.asked.partition), part);
  }

  /** Ends the request. */
  clear(): void {
    if (this.#parts.size === 0) return;
    this.#parts.clear();
    this.#topics.clear();
  }

  #key(partition: number): number {
    if (this.#topicNumber < 0) this.#topicNumber = this.#numberOf(this.#topic);
    return key(this.#topicNumber, partition);
  }

  #name(part: FetchPart): string {
    return this.#byId ? part.asked.topicId : part.asked.topicName;
  }

  #numberOf(topic: string): number {
    let number = this.#topics.get(topic);
    if (number === undefined) {
      number = this.#topics.size;
      this.#topics.set(topic, number);
    }
    return number;
  }
}

function key(topic: number, partition: number): number {
  return topic * PARTITION_RANGE + (partition >>> 0);
}
