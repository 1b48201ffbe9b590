/**
 * `gregor topic trim`.
 *
 * @module
 */

import { DELETE_RECORDS } from "../wire/generated/apis.ts";
import {
  newDeleteRecordsPartition,
  newDeleteRecordsRequest,
  newDeleteRecordsTopic,
} from "../wire/generated/delete_records_request.ts";
import type { Cluster } from "./client/cluster.ts";
import { brokerRefusal } from "./client/outcome.ts";
import { CLIENT_FLAGS, FORMAT_FLAG, printRows, withCluster } from "./client_flags.ts";
import { command } from "./command.ts";
import { EXIT_OK } from "./exit_codes.ts";
import { integer, text } from "./flags.ts";

/** Trim up to the high watermark. */
const OFFSET_END = -1;

interface Trimmed {
  readonly partition: number;
  readonly start: number;
}

export const definition = command({
  name: "topic trim",
  about: "Deletes the records before an offset; the log then starts there. This cannot be undone.",
  positionals: [{ name: "NAME", help: "Name of the topic", required: true }],
  flags: {
    ...CLIENT_FLAGS,
    "offset": text({
      value: "end|N",
      required: true,
      help: "First offset to keep; end: keep nothing",
    }),
    "partition": integer({ value: "N", min: 0, help: "One partition only; default all" }),
    ...FORMAT_FLAG,
  },
  examples: [
    { line: "topic trim orders --offset end", says: "Empty a topic:" },
    { line: "topic trim orders --partition 2 --offset 1000", says: "One partition, up to 1000:" },
  ],
  check: ({ values }) =>
    values.offset === undefined || values.offset === "end" || /^\d+$/.test(values.offset) ? [] : [{
      subject: "--offset",
      message: `expected end or a whole number, got "${values.offset}"`,
    }],
  run: async ({ values, args, terminal }) => {
    const name = args[0]!;
    const offset = values.offset === "end" ? OFFSET_END : Number(values.offset);
    const trimmed = await withCluster(values, async (cluster) => {
      const topic = await cluster.topic(name);
      const partitions = topic.partitions
        .map((one) => one.partition)
        .filter((one) => values.partition === undefined || one === values.partition);
      const wanted = partitions.length > 0 ? partitions : [values.partition!];
      return await trim(cluster, name, wanted, offset);
    });
    printRows(terminal, values.format, [
      { heading: "PARTITION", isNumber: true, key: "partition", of: (row) => row.partition },
      { heading: "START", isNumber: true, key: "start", of: (row) => row.start },
    ], trimmed);
    return EXIT_OK;
  },
});

async function trim(
  cluster: Cluster,
  topic: string,
  partitions: readonly number[],
  offset: number,
): Promise<Trimmed[]> {
  const trimmed: Trimmed[] = [];
  const leaders = await cluster.byLeader(partitions.map((partition) => ({ topic, partition })));
  for (const [leader, items] of leaders) {
    const connection = await cluster.node(leader);
    const response = await connection.call(
      DELETE_RECORDS,
      newDeleteRecordsRequest({
        topics: [
          newDeleteRecordsTopic({
            name: topic,
            partitions: items.map(({ partition }) =>
              newDeleteRecordsPartition({ partitionIndex: partition, offset })
            ),
          }),
        ],
        timeoutMs: cluster.timeoutMs,
      }),
    );
    for (const one of response.topics.flatMap((answered) => answered.partitions)) {
      if (one.errorCode !== 0) {
        throw brokerRefusal(`trim ${topic}/${one.partitionIndex}`, one.errorCode);
      }
      trimmed.push({ partition: one.partitionIndex, start: one.lowWatermark });
    }
  }
  return trimmed.sort((a, b) => a.partition - b.partition);
}
