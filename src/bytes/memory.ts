/**
 * The broker's one region of data memory.
 *
 * Records never enter the JavaScript heap: they are received into, checked in, written from and sent
 * from this region. It is mapped once for the whole process, wrapped once by each shard, and cut into
 * one slice per shard; a shard allocates from its own slice alone ({@linkcode Arena}). An *address* is
 * a byte offset into the region, a plain number that means the same on every shard and in the shim, so
 * that a payload can be handed to another shard by two numbers. In the simulator the region is an
 * ordinary ArrayBuffer.
 *
 * @module
 */

/** A region of bytes with its two standing views; made once, never re-wrapped. */
export interface Memory {
  /** The whole region, for copies (`copyWithin`, `set`). */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The whole region, for fields. */
  readonly view: DataView<ArrayBuffer>;
}

/** Wraps `buffer`, native or ordinary, as the process's region. */
export function wrapMemory(buffer: ArrayBuffer): Memory {
  return { bytes: new Uint8Array(buffer), view: new DataView(buffer) };
}
