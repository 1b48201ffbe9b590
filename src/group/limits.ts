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

/** Heartbeats of one consumer group that wait for its records to be written; a further one is told to come again. */
export const CONSUMER_REQUESTS_QUEUED_MAX = 20_000;

/** A round of a consumer group takes no further request when it has this much to write (bytes). */
export const ROUND_SIZE_MAX = 256 * 1024;

/** Characters of the id that a member of a consumer group makes for itself, and of its instance id. */
export const OWN_MEMBER_ID_SIZE_MAX = 4_096;

/** Characters of what a member of a consumer group may say of itself: names of topics, its regular expression, its rack. */
export const MEMBER_SUBSCRIPTION_SIZE_MAX = 1024 * 1024;

/** The same of all members of one group. */
export const GROUP_SUBSCRIPTIONS_SIZE_MAX = 32 * 1024 * 1024;

/** Characters of one regular expression. */
export const REGEX_SIZE_MAX = 4_096;

/** Regular expressions of one group. */
export const REGEXES_PER_GROUP_MAX = 64;

/** Regular expressions are looked up anew at most this often when topics come and go (ms). */
export const REGEX_REFRESH_INTERVAL_MS = 10_000;
