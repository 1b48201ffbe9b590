/**
 * The APIs by name, and the versions of each that are compared: those that both brokers serve.
 *
 * @module
 */

import { type Api, OWN_KEY_MIN } from "../../../src/wire/api.ts";
import { servedApis } from "../malformed/hostile_frames.ts";

/** Kafka does not have Gregor's own. */
const SERVED = servedApis().filter(({ api }) => api.key < OWN_KEY_MIN);

export const API_BY_NAME: ReadonlyMap<string, Api<unknown, unknown>> = new Map(
  SERVED.map(({ api }) => [api.name, api]),
);

/** Versions that Gregor serves for the sake of old clients, and Kafka no longer: the first that both have. */
const KAFKA_FIRST: Readonly<Record<string, number>> = {
  CreateTopics: 2,
  DeleteTopics: 1,
  DescribeConfigs: 1,
  DescribeLogDirs: 1,
  Fetch: 4,
  ListOffsets: 1,
  OffsetCommit: 2,
  OffsetFetch: 1,
  OffsetForLeaderEpoch: 2,
  Produce: 3,
};

/** Versions that both brokers serve, lowest first. */
export function versionsOf(name: string): number[] {
  const served = SERVED.find(({ api }) => api.name === name);
  if (served === undefined) throw new Error(`Gregor does not serve ${name}`);
  const first = Math.max(served.minVersion, served.api.minVersion, KAFKA_FIRST[name] ?? 0);
  return Array.from({ length: served.maxVersion - first + 1 }, (_, index) => first + index);
}

export const API_NAMES: readonly string[] = SERVED.map(({ api }) => api.name);
