/**
 * The configurations that were set over the Kafka API, by resource, as text.
 *
 * Only what differs from the built-in and start-up values is here. What a value means, and which one
 * wins, is decided where it is used (`topic_config.ts`).
 *
 * @module
 */

import type { ConfigRecord } from "./records.ts";

/** Kafka's resource types. */
export const ResourceType = {
  UNKNOWN: 0,
  TOPIC: 2,
  BROKER: 4,
  BROKER_LOGGER: 8,
  CLIENT_METRICS: 16,
  GROUP: 32,
} as const;

/** Why resources of a type have no configuration that could be described or changed. */
export function noConfigsOf(resourceType: number): string {
  const known = Object.entries(ResourceType).find(([, type]) => type === resourceType);
  return known === undefined || resourceType === ResourceType.UNKNOWN
    ? `Unknown resource type ${resourceType}`
    : `resources of type ${known[0]} have no configuration here`;
}

/** The broker resource that stands for all brokers. */
export const ALL_BROKERS = "";

const EMPTY: ReadonlyMap<string, string> = new Map();

export class ConfigTable {
  readonly #byType = new Map<number, Map<string, Map<string, string>>>();

  /** What is set on a resource; empty when nothing is. */
  get(resourceType: number, resourceName: string): ReadonlyMap<string, string> {
    return this.#byType.get(resourceType)?.get(resourceName) ?? EMPTY;
  }

  /** Names of the resources of a type that have something set, sorted. */
  resourceNames(resourceType: number): string[] {
    return [...(this.#byType.get(resourceType)?.keys() ?? [])].sort();
  }

  replay(record: ConfigRecord): void {
    let byName = this.#byType.get(record.resourceType);
    if (byName === undefined) {
      byName = new Map();
      this.#byType.set(record.resourceType, byName);
    }
    let configs = byName.get(record.resourceName);
    if (record.value === null) {
      configs?.delete(record.name);
      if (configs?.size === 0) byName.delete(record.resourceName);
      return;
    }
    if (configs === undefined) {
      configs = new Map();
      byName.set(record.resourceName, configs);
    }
    configs.set(record.name, record.value);
  }

  /** Forgets everything set on a resource. */
  removeResource(resourceType: number, resourceName: string): void {
    this.#byType.get(resourceType)?.delete(resourceName);
  }

  /** Records that rebuild one resource's configuration, by name. */
  *snapshotOf(resourceType: number, resourceName: string): Generator<ConfigRecord> {
    const configs = this.get(resourceType, resourceName);
    for (const name of [...configs.keys()].sort()) {
      yield { resourceType, resourceName, name, value: configs.get(name)! };
    }
  }
}
