/**
 * The seam through which batches are compacted: the newest record of each key is noted, and a batch is written without
 * those that have become superfluous. The shim does the work (`shim_compactor.ts`), because the bytes of
 * records never enter JavaScript.
 *
 * @module
 */

/** Memory of one key in a map (bytes). */
export const KEY_SLOT_BYTES = 16;

/** How a batch is written; added up. */
export const RewriteFlag = {
  /** All of its records go. */
  DISCARD: 1,
  /** Where nothing stays, a batch without records does. */
  KEEP_EMPTY: 2,
  /** Records without a value stay. */
  KEEP_TOMBSTONES: 4,
  /** Every record stays; the batch gets a horizon where it has none. */
  SET_HORIZON: 8,
} as const;

/** The map of keys: zeroed memory before the first call, and the first offset that may be in it. */
export interface KeyMapPlace {
  readonly address: number;
  readonly bytes: number;
  readonly baseOffset: number;
}

/** What is the same for all batches of a round. */
export interface RewriteRules {
  /** Offsets from here on are not in the map. */
  readonly coveredEnd: number;
  readonly nowMs: number;
  /** The horizon of a batch that gets one: the time from which on its tombstones may go (ms). */
  readonly horizonMs: number;
}

/** One batch at a time; results are read before the next call. */
export interface RecordCompactor {
  /**
   * Notes the keys of the batch at `address`, in a map that has room for all of them.
   *
   * @returns the number of new keys, or a negative errno: EBADMSG (cannot be read), E2BIG (too large, decompressed)
   */
  index(address: number, length: number, keys: KeyMapPlace): number;
  /**
   * Writes what stays of a batch.
   *
   * @param flags of {@linkcode RewriteFlag}
   * @returns its length, 0: nothing stays; or a negative errno: as above, or EMSGSIZE: more than `room`
   */
  rewrite(
    address: number,
    length: number,
    target: number,
    room: number,
    keys: KeyMapPlace,
    flags: number,
    rules: RewriteRules,
  ): number;
  /** Records that stay of the batch written last. */
  readonly keptRecords: number;
  /** Whether the batch written last differs from what it was. */
  readonly changed: boolean;
}
