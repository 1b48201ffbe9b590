/**
 * What bounds the memory of a transaction coordinator.
 *
 * @module
 */

/** Transactional ids of one coordinator (a partition of `__transaction_state`); with as many, a new one is refused. */
export const TRANSACTIONAL_IDS_MAX = 100_000;

/** Partitions of one transaction: its record, which names all of them, stays below 1 MiB with short topic names. */
export const PARTITIONS_PER_TRANSACTION_MAX = 20_000;
