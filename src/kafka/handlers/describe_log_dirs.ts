/**
 * DescribeLogDirs (key 35), versions 0 to 5: how much each partition takes on disk.
 *
 * - There is one log directory per node. Sizes are bytes of record batches kept in all segments.
 * - No list of topics: all partitions of this node; else those that are asked for and here.
 * - v4: the file system's total size and what is free for the broker.
 * - A full disk is KAFKA_STORAGE_ERROR, as Kafka's own directories fail on one; the partitions are listed.
 * - Asks every shard for its partitions.
 *
 * Gaps: nothing is moved between directories (no future replicas, no lag), and no directory is cordoned (v5).
 * The journal belongs to no partition, so its size is not shown.
 *
 * @module
 */

import { DESCRIBE_LOG_DIRS } from "../../wire/generated/apis.ts";
import type { DescribeLogDirsRequest } from "../../wire/generated/describe_log_dirs_request.ts";
import {
  type DescribeLogDirsPartition,
  type DescribeLogDirsResponse,
  newDescribeLogDirsPartition,
  newDescribeLogDirsResponse,
  newDescribeLogDirsResult,
} from "../../wire/generated/describe_log_dirs_response.ts";
import { ErrorCode } from "../../wire/errors.ts";
import type { Handler } from "../handler.ts";

export const DESCRIBE_LOG_DIRS_HANDLER: Handler<DescribeLogDirsRequest, DescribeLogDirsResponse> = {
  api: DESCRIBE_LOG_DIRS,
  minVersion: 0,
  maxVersion: 5,
  route: {
    kind: "split",
    split(request, services) {
      const parts = new Map<number, DescribeLogDirsRequest>();
      for (let shard = 0; shard < services.shardCount; shard++) parts.set(shard, request);
      return parts;
    },
    merge(_request, responses) {
      const byTopic = new Map<string, DescribeLogDirsPartition[]>();
      for (const response of responses) {
        for (const { name, partitions } of response.results[0]!.topics) {
          byTopic.set(name, [...(byTopic.get(name) ?? []), ...partitions]);
        }
      }
      const topics = [...byTopic].map(([name, partitions]) => ({
        name,
        partitions: partitions.sort((a, b) => a.partitionIndex - b.partitionIndex),
      }));
      const results = [{ ...responses[0]!.results[0]!, topics }];
      return newDescribeLogDirsResponse({ results });
    },
  },
  // deno-lint-ignore require-yield -- sizes are in memory.
  *handle({ services }, request) {
    const asked = request.topics === null ? null : new Map<string, Set<number>>();
    for (const { topic, partitions } of request.topics ?? []) {
      // A topic that is named twice is asked for all the partitions that are named.
      asked!.set(topic, new Set([...asked!.get(topic) ?? [], ...partitions]));
    }
    const byTopic = new Map<string, DescribeLogDirsPartition[]>();
    for (const { image, log } of services.partitions.all()) {
      const { topic, index: partitionIndex, groupId } = image;
      // The metadata log is a group of its own and no topic's partition.
      if (services.image.partitionByGroup(groupId) === undefined) continue;
      if (asked !== null && asked.get(topic.name)?.has(partitionIndex) !== true) continue;
      const partition = newDescribeLogDirsPartition({
        partitionIndex,
        partitionSize: log.sizeBytes,
      });
      const known = byTopic.get(topic.name);
      if (known === undefined) byTopic.set(topic.name, [partition]);
      else known.push(partition);
    }
    const { dataDirectory } = services;
    const results = [newDescribeLogDirsResult({
      errorCode: services.trouble.diskFull ? ErrorCode.KAFKA_STORAGE_ERROR : ErrorCode.NONE,
      logDir: dataDirectory.path,
      topics: [...byTopic].map(([name, partitions]) => ({ name, partitions })),
      totalBytes: dataDirectory.totalBytes(),
      usableBytes: dataDirectory.freeBytes(),
    })];
    return newDescribeLogDirsResponse({ results });
  },
};
