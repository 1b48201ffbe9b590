/**
 * A transaction that nobody ends.
 *
 * @module
 */

import { Cluster } from "../../src/cli/client/cluster.ts";
import { codecByName } from "../../src/cli/client/codecs.ts";
import { Producer } from "../../src/cli/client/producer.ts";
import { RecordBatchBuilder } from "../../src/wire/record_batch_builder.ts";
import { parseAddress } from "../crash/link.ts";

/** A producer that writes a record in a transaction, and is never heard of again. */
export async function leaveOpen(
  bootstrap: string,
  topic: string,
  partition: number,
  transactionalId: string,
): Promise<void> {
  const cluster = await Cluster.connect([parseAddress(bootstrap)], { timeoutMs: 10_000 });
  try {
    const codec = codecByName("none");
    const producer = await Producer.open(cluster, topic, { acks: -1, codec, transactionalId });
    const builder = new RecordBatchBuilder();
    builder.add({ key: null, value: new Uint8Array(1), timestamp: Date.now() });
    await producer.send(partition, builder);
  } finally {
    cluster.close();
  }
}
