/**
 * Outgoing responses: the elements of a connection's queue, in request order.
 *
 * A response is either bytes that a handler encoded (cold APIs) or a {@linkcode StreamedResponse} that
 * writes itself into the region when its turn comes and may point at record bytes that lie elsewhere
 * (a fetch sends straight from the batch cache).
 *
 * @module
 */

import type { RangeList } from "../bytes/range_list.ts";
import { HeapLane, type RequestHeap } from "./request_heap.ts";

/** A response that is written into the region only when it is sent. */
export interface StreamedResponse {
  /** Upper bound of the bytes that {@linkcode write} writes itself, frame header included. */
  inlineSizeMax(): number;
  /**
   * Writes the frame at `address` and appends its ranges, inline pieces and records, to `ranges`.
   *
   * @returns the bytes written at `address`
   */
  write(address: number, correlationId: number, ranges: RangeList): number;
  /** The last byte has left, or the connection is gone: pins may be released. Called exactly once. */
  onSent(): void;
}

/** Place of one request in its connection's order of responses. */
export class ResponseSlot {
  apiKey = 0;
  apiVersion = 0;
  correlationId = 0;
  /** When it was taken (the time of `ShardRecorder.nowMs`). */
  startedMs = 0;
  /** The response may be sent (or, without one, forgotten). */
  ready = false;
  /** A whole frame without its size prefix: header and body. */
  encoded: Uint8Array | null = null;
  streamed: StreamedResponse | null = null;
  /** What is counted for it, of {@linkcode heapLane} (bytes). */
  heapBytes = 0;
  heapLane: HeapLane = HeapLane.REQUESTS;

  reset(apiKey: number, apiVersion: number, correlationId: number): void {
    this.apiKey = apiKey;
    this.apiVersion = apiVersion;
    this.correlationId = correlationId;
    this.ready = false;
    this.encoded = null;
    this.streamed = null;
    this.heapBytes = 0;
  }

  /** Counts `bytes` of `lane` for it from now on, instead of what was counted before. */
  charge(heap: RequestHeap, lane: HeapLane, bytes: number): void {
    heap.give(this.heapLane, this.heapBytes);
    heap.take(lane, bytes);
    this.heapLane = lane;
    this.heapBytes = bytes;
  }
}
