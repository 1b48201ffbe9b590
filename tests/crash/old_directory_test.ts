/**
 * Data directories that older versions wrote start, and hold everything that they held: with the number of cores
 * they were written with, and with others.
 */

import { strict as assert } from "node:assert";
import type { Connection } from "../../src/cli/client/connection.ts";
import { PRODUCE } from "../../src/wire/generated/apis.ts";
import { newProduceRequest } from "../../src/wire/generated/produce_request.ts";
import { ZERO_UUID } from "../../src/wire/uuid.ts";
import { type Contents, readContents } from "../fixtures/directory_contents.ts";
import {
  BATCH_RECORDS,
  connectTo,
  expectedContents,
  FIXTURE_FLAGS,
  IDEMPOTENT,
  idempotentBatch,
  unpackDirectory,
} from "../fixtures/old_directory.ts";
import { Broker } from "../harness/broker.ts";
import { SMALL_BATCH } from "../sim/sim_requests.ts";
import { checkData } from "./check_data.ts";

async function produce(
  connection: Connection,
  name: string,
  index: number,
  records: Uint8Array,
): Promise<number> {
  const topicData = [{ name, topicId: ZERO_UUID, partitionData: [{ index, records }] }];
  const request = newProduceRequest({ acks: -1, timeoutMs: 10_000, topicData });
  const response = await connection.call(PRODUCE, request, { maxVersion: 12 });
  const { errorCode, baseOffset } = response.responses[0]!.partitionResponses[0]!;
  assert.equal(errorCode, 0, `${name}-${index}`);
  return baseOffset;
}

function producerOf({ topics }: Contents): { id: number; lastSequence: number } {
  return topics.find(({ name }) => name === IDEMPOTENT)!.partitions[0]!.producers[0]!;
}

for (const name of ["data-2026-11", "data-2026-12"]) {
  for (const cores of [1, 2, 3]) {
    Deno.test(`a broker with ${cores} cores serves what ${name} holds, and adds to it`, async () => {
      const dataDir = await Deno.makeTempDir({ prefix: "gregor-old-" });
      try {
        await unpackDirectory(name, dataDir);
        const expected = await expectedContents(name);
        await using broker = await Broker.start({ cores, dataDir, flags: FIXTURE_FLAGS });
        let connection = await connectTo(broker);
        assert.deepEqual(await readContents(connection), expected);

        // The idempotent producer continues: what it repeats is known, what it adds follows.
        const { id, lastSequence } = producerOf(expected);
        const next = (lastSequence + 1) / BATCH_RECORDS;
        const repeated = await produce(connection, IDEMPOTENT, 0, idempotentBatch(id, next - 1));
        assert.equal(repeated, (next - 1) * BATCH_RECORDS);
        const added = await produce(connection, IDEMPOTENT, 0, idempotentBatch(id, next));
        assert.equal(added, next * BATCH_RECORDS);
        for (const { name: topic, partitions } of expected.topics) {
          if (topic === IDEMPOTENT) continue;
          for (let index = 0; index < partitions.length; index++) {
            const offset = await produce(connection, topic, index, SMALL_BATCH);
            assert.equal(offset, partitions[index]!.endOffset);
          }
        }
        const grown = await readContents(connection);
        connection.close();
        await broker.kill();
        await broker.restart({ cores: 2 });
        connection = await connectTo(broker);
        assert.deepEqual(await readContents(connection), grown);
        connection.close();
        await broker.stop();
        const checked = await checkData(dataDir);
        assert.equal(checked.code, 0, checked.output);
      } finally {
        await Deno.remove(dataDir, { recursive: true });
      }
    });
  }
}
