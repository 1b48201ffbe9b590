import { strict as assert } from "node:assert";
import { RecordBatchBuilder } from "../../src/wire/record_batch_builder.ts";
import { concat } from "./memory_sockets.ts";
import { endAlike } from "./surviving_records.ts";

/** A batch with one record: key, value, offset. */
function record(key: string, value: string | null, offset: number): Uint8Array {
  const builder = new RecordBatchBuilder();
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
  builder.add({ key: bytes(key), value: value === null ? null : bytes(value), timestamp: 0 });
  const batch = builder.build().slice();
  new DataView(batch.buffer).setBigInt64(0, BigInt(offset));
  return batch;
}

Deno.test("a log and what compaction leaves of it end alike, and no other log does", () => {
  const whole = [
    record("a", "1", 0),
    record("b", "2", 1),
    record("a", "3", 2),
    record("c", null, 3),
  ];
  const log = concat(whole);
  assert(endAlike(log, concat(whole.slice(1))));
  assert(!endAlike(log, concat([whole[0]!, ...whole.slice(2)])), "a key is lost");
  assert(!endAlike(log, concat(whole.slice(0, 2))), "the last records are lost");
  assert(!endAlike(log, concat([...whole.slice(1, 3), record("c", "4", 3)])), "a key is back");
  assert(!endAlike(log, concat([...whole.slice(1, 3), record("c", null, 4)])), "an offset moved");
});
