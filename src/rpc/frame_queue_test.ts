import { strict as assert } from "node:assert";
import fc from "../../tests/harness/fast_check.ts";
import { RPC_QUEUE_FRAMES_MAX, RPC_RETRY_MS_MAX, RPC_RETRY_MS_MIN } from "../base/limits.ts";
import { Xoshiro128 } from "../base/prng.ts";
import { softwareCrc32c } from "../bytes/crc32c.ts";
import { wrapMemory } from "../bytes/memory.ts";
import { RangeList } from "../bytes/range_list.ts";
import { retryDelayMs } from "./backoff.ts";
import {
  checkFrameHeader,
  FRAME_HEADER_SIZE,
  FrameFault,
  frameLength,
  frameType,
  payloadMatches,
} from "./frame.ts";
import { FrameQueue } from "./frame_queue.ts";

const RING = 1 << 16;
const RING_SIZE = 1000;
const BYTES_MAX = 5000;
const OUT = 1 << 17;

Deno.test("FrameQueue keeps its frames' bytes until they are released, in order, within its bounds", () => {
  const memory = wrapMemory(new ArrayBuffer(1 << 18));
  const crc32c = softwareCrc32c(memory);
  fc.assert(
    fc.property(
      fc.array(
        fc.oneof(
          fc.record({
            put: fc.constant(true),
            head: fc.integer({ min: 0, max: 400 }),
            ranges: fc.array(fc.integer({ min: 1, max: 3000 }), { maxLength: 3 }),
          }),
          fc.record({
            put: fc.constant(false),
            clear: fc.boolean(),
            bytesMax: fc.integer({ min: 0, max: 4000 }),
          }),
        ),
        { maxLength: 60 },
      ),
      (steps) => {
        memory.bytes.fill(0xee, RING - 64, RING + RING_SIZE + 64);
        const queue = new FrameQueue(memory, crc32c, RING, RING_SIZE, BYTES_MAX);
        const waiting: { id: number; payload: number[] }[] = [];
        const over: [number, boolean][] = [];
        let sequence = 0;
        let id = 0;
        for (const step of steps) {
          if ("head" in step) {
            const head = Array.from({ length: step.head }, (_, i) => (i + id) & 0xff);
            memory.bytes.set(head, 0);
            const ranges = new RangeList(1);
            const payload = [...head];
            step.ranges.forEach((length, i) => {
              const at = 8192 + i * 4096;
              ranges.push(at, length);
              payload.push(...memory.bytes.subarray(at, at + length));
            });
            const mine = id++;
            const queued = queue.put(
              mine & 0xff,
              0,
              step.head,
              ranges.count === 0 ? null : ranges,
              { onFrameOver: (sent) => over.push([mine, sent]) },
            );
            memory.bytes.fill(0xdd, 0, step.head);
            if (queued) waiting.push({ id: mine, payload });
            else assert(waiting.length > 0, "an empty queue takes any frame");
            if (queued && waiting.length > 1 && ranges.bytes > 0) assert(queue.bytes <= BYTES_MAX);
          } else if ("clear" in step && step.clear) {
            over.length = 0;
            queue.clear();
            assert.deepEqual(over, waiting.map((frame) => [frame.id, false]));
            waiting.length = 0;
            sequence = 0;
          } else if ("bytesMax" in step) {
            const ranges = new RangeList(4);
            const taken = queue.take(ranges, step.bytesMax, 64);
            assert.equal(taken > 0, waiting.length > 0);
            let at = OUT;
            for (let i = 0; i < ranges.count; i++) {
              const from = ranges.address(i);
              memory.bytes.copyWithin(at, from, from + ranges.length(i));
              at += ranges.length(i);
            }
            assert(taken <= 1 || at - OUT <= step.bytesMax);
            over.length = 0;
            at = OUT;
            for (const frame of waiting.splice(0, taken)) {
              const fault = checkFrameHeader(memory.view, at, sequence++, 1 << 20, crc32c);
              assert.equal(fault, FrameFault.NONE);
              assert.equal(frameType(memory.view, at), frame.id & 0xff);
              assert.equal(frameLength(memory.view, at), frame.payload.length);
              assert(payloadMatches(memory.view, at, crc32c));
              at += FRAME_HEADER_SIZE;
              const came = memory.bytes.subarray(at, at + frame.payload.length);
              assert.deepEqual([...came], frame.payload);
              at += frame.payload.length;
            }
            assert.equal(over.length, 0, "told before it was released");
            queue.release();
            assert(over.length === taken && over.every(([, sent]) => sent));
          }
          assert.equal(queue.length, waiting.length);
        }
        for (const at of [RING - 64, RING + RING_SIZE]) {
          const around = memory.bytes.subarray(at, at + 64);
          assert(around.every((byte) => byte === 0xee), "written outside the ring");
        }
      },
    ),
    { numRuns: 300 },
  );
});

Deno.test("FrameQueue lets an owner queue the next frame when it is told", () => {
  const memory = wrapMemory(new ArrayBuffer(1 << 18));
  const queue = new FrameQueue(memory, softwareCrc32c(memory), RING, RING_SIZE, BYTES_MAX);
  let left = 5 * RPC_QUEUE_FRAMES_MAX;
  const owner = {
    onFrameOver: () => {
      if (left-- > 0) assert(queue.put(1, 0, 3, null, owner));
    },
  };
  for (let i = 0; i < 10; i++) assert(queue.put(1, 0, 3, null, owner));
  const ranges = new RangeList(4);
  while (queue.length > 0) {
    ranges.clear();
    queue.take(ranges, 100, 64);
    queue.release();
  }
  assert.equal(left, -10);
});

Deno.test("retryDelayMs doubles up to its bound, and half of it is chance", () => {
  const random = new Xoshiro128(1);
  for (let failures = 1; failures < 100; failures++) {
    const most = Math.min(RPC_RETRY_MS_MAX, RPC_RETRY_MS_MIN * 2 ** (failures - 1));
    const delays = Array.from({ length: 50 }, () => retryDelayMs(failures, random));
    assert(delays.every((delay) => delay >= most / 2 && delay <= most));
    assert(Math.max(...delays) - Math.min(...delays) > most / 4);
  }
});
