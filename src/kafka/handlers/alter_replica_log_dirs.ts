/**
 * AlterReplicaLogDirs (key 34), versions 1 and 2: moves replicas of this node to another one of its log directories.
 *
 * - A node has one log directory, so what is there stays there: NONE. Another directory: LOG_DIR_NOT_FOUND.
 * - A partition of which this node has no replica: REPLICA_NOT_AVAILABLE; one that does not exist:
 *   UNKNOWN_TOPIC_OR_PARTITION.
 * - A partition that is named with several directories goes to the last of them.
 *
 * Gaps: none, as long as there is one directory.
 *
 * @module
 */

import { ErrorCode } from "../../wire/errors.ts";
import { ALTER_REPLICA_LOG_DIRS } from "../../wire/generated/apis.ts";
import type { AlterReplicaLogDirsRequest } from "../../wire/generated/alter_replica_log_dirs_request.ts";
import {
  type AlterReplicaLogDirsResponse,
  newAlterReplicaLogDirsResponse,
} from "../../wire/generated/alter_replica_log_dirs_response.ts";
import { type Handler, LOCAL } from "../handler.ts";
import type { Services } from "../services.ts";

export const ALTER_REPLICA_LOG_DIRS_HANDLER: Handler<
  AlterReplicaLogDirsRequest,
  AlterReplicaLogDirsResponse
> = {
  api: ALTER_REPLICA_LOG_DIRS,
  minVersion: 1,
  maxVersion: 2,
  route: LOCAL,
  // deno-lint-ignore require-yield -- the metadata is in memory.
  *handle({ services }, { dirs }) {
    const byTopic = new Map<string, Map<number, ErrorCode>>();
    for (const { path, topics } of dirs) {
      for (const { name, partitions } of topics) {
        if (partitions.length === 0) continue;
        const outcomes = byTopic.get(name) ?? new Map<number, ErrorCode>();
        byTopic.set(name, outcomes);
        for (const index of partitions) outcomes.set(index, moveTo(services, path, name, index));
      }
    }
    return newAlterReplicaLogDirsResponse({
      results: [...byTopic].map(([topicName, outcomes]) => ({
        topicName,
        partitions: [...outcomes].map(([partitionIndex, errorCode]) => ({
          partitionIndex,
          errorCode,
        })),
      })),
    });
  },
};

function moveTo(
  { dataDirectory, image, nodeId }: Services,
  path: string,
  topic: string,
  index: number,
): ErrorCode {
  if (path !== dataDirectory.path) return ErrorCode.LOG_DIR_NOT_FOUND;
  const partition = image.topicByName(topic)?.partitions[index];
  if (partition === undefined) return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION;
  return partition.replicas.includes(nodeId) ? ErrorCode.NONE : ErrorCode.REPLICA_NOT_AVAILABLE;
}
