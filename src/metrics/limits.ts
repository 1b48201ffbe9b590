/**
 * How many series one node shows: a scrape must stay small, whatever clients create.
 *
 * What is beyond a limit is left out, and `gregor_metrics_left_off` says how much that is.
 *
 * @module
 */

/** Topics of which a shard counts the traffic; that of further ones is counted together. */
export const TRAFFIC_TOPICS_MAX = 10_000;
/** Topics that a page shows. */
export const TOPICS_SHOWN_MAX = 10_000;
/** Partitions that a page shows. */
export const PARTITIONS_SHOWN_MAX = 20_000;
/** Groups that a page shows, and committed offsets of all of them. */
export const GROUPS_SHOWN_MAX = 5_000;
export const GROUP_OFFSETS_SHOWN_MAX = 20_000;
/** Rows that a shard collects in one turn. */
export const ROWS_PER_TURN = 200;
/** A page does not wait longer for a shard (ms). */
export const COLLECT_TIMEOUT_MS = 3_000;
