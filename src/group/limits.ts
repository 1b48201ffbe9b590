/**
 * Every limit of a group coordinator, by name. Each bounds memory that clients could otherwise fill;
 * a normal client meets none of them.
 *
 * @module
 */

/** Groups of one coordinator (one partition of `__consumer_offsets`); a further one must wait. */
export const GROUPS_PER_COORDINATOR_MAX = 100_000;

/** Members of one group, pending ones included, when `group.max.size` allows more. */
export const MEMBERS_PER_GROUP_MAX = 100_000;

/** Protocol names and metadata that one member may bring along (bytes). */
export const MEMBER_PROTOCOLS_SIZE_MAX = 1024 * 1024;

/** Protocols that one member may support. */
export const PROTOCOLS_PER_MEMBER_MAX = 64;

/** Protocol metadata of all members of one group (bytes). */
export const GROUP_PROTOCOLS_SIZE_MAX = 32 * 1024 * 1024;

/** What a leader may assign to all members of one group (bytes). */
export const ASSIGNMENTS_SIZE_MAX = 16 * 1024 * 1024;

/** A member without an id waits at most this long for its first generation (ms). */
export const NEW_MEMBER_JOIN_TIMEOUT_MS = 5 * 60 * 1000;

/** Tombstones that one sweep for expired offsets appends in one batch. */
export const TOMBSTONES_PER_BATCH_MAX = 1_000;

/** Characters of a client's name at the head of the member id that it is given. */
export const MEMBER_ID_PREFIX_MAX = 255;

/**
 * Offsets in transactions that have not ended, of one coordinator; a further commit must wait. They bound the groups that exist
 * in transactions alone, too.
 */
export const PENDING_OFFSETS_MAX = 200_000;
