/**
 * Limits and times of a Raft group, by name.
 *
 * @module
 */

/** Times of a group (ms); a simulation may pass others. */
export interface RaftTiming {
  /** Between two heartbeats of a leader to a peer that is not quiet. */
  readonly heartbeatMs: number;
  /** A follower that hears nothing for this long campaigns; a leader that hears no majority resigns. */
  readonly electionMs: number;
  /** A voter waits this much longer for each voter before it in the configuration. */
  readonly rankMs: number;
  /** Bound of the random part of each wait for an election. */
  readonly spreadMs: number;
  /** Without appends for this long, a leader makes its followers quiet. */
  readonly quietMs: number;
}

export const RAFT_TIMING: RaftTiming = {
  heartbeatMs: 100,
  electionMs: 800,
  rankMs: 80,
  spreadMs: 60,
  quietMs: 3_000,
};

/** Waits between campaigns that found no majority double up to this many times the election timeout. */
export const CAMPAIGN_BACKOFF_MAX = 16;

/** In a group that never had a leader so many campaigns follow one another without such a pause. */
export const FIRST_ROUNDS_MAX = 8;

/** A follower that hears its leader, and has no connection to it, campaigns after so many heartbeats without one. */
export const BEATS_OF_DISCONNECTED = 2;

/**
 * Leadership is handed over in a moment in which nothing is on its way, if one comes within this time after the next leader has what
 * there was (ms). Otherwise appends are held back.
 */
export const TRANSFER_LINGER_MS = 15;

/** A node that sleeps again and again without hearing anybody is excused so often. */
export const SLEEPS_EXCUSED_MAX = 3;

/** Bytes on their way to one peer of one group: sent, and not yet durable there. */
export const PEER_WINDOW_BYTES = 4 * 1024 * 1024;

/** Appends on their way to one peer of one group. */
export const PEER_WINDOW_APPENDS = 64;

/** Bytes of one append, unless a batch is larger: with a header, a receiver's block of memory holds it. */
export const APPEND_BYTES_MAX = 1024 * 1024 - 4 * 1024;

/** Bytes of an append that asks where a peer's log ends. */
export const PROBE_BYTES = 64 * 1024;

/**
 * Heartbeats that a peer answers without having got further: after so many, what was sent is taken for lost. A driver
 * says when a connection breaks; a peer that drops an append without a word (it does not have the group yet) says nothing.
 */
export const PROBE_BEATS_MAX = 10;
export const FLIGHT_BEATS_MAX = 50;

/**
 * A batch larger than a window is on its way for longer: so many bytes of it in the time of a heartbeat, at least
 * (2.5 MB/s).
 */
export const FLIGHT_BYTES_PER_BEAT = 256 * 1024;

/** A peer that has not had everything for longer does not keep up: it catches up, or is too slow (ms). */
export const KEEPS_UP_MS = 1_000;

/** A snapshot that was not taken is sent again after this long (ms). */
export const SNAPSHOT_RETRY_MS = 5_000;

/** Voters of a group, and learners: whoever is to vote is one before, beside those that remain learners. */
export const VOTERS_MAX = 15;
export const LEARNERS_MAX = 100;

/** Runs of entries of one term in one append. */
export const APPEND_RUNS_MAX = 256;

/**
 * Terms that a replica passes by when it is made the only one: in each of them the others may have elected somebody, of whom it
 * has not heard. Clients take an epoch that goes back for old news.
 */
export const FORCED_TERMS = 1_000;

/** Members are told apart by so many in the terms of {@linkcode forcedTerm}: their nodes' ids, modulo this. */
export const FORCED_SLOTS = 1_000;

/**
 * No group comes to a later term by its own elections. A peer that names one is not believed: a term is a leader epoch, which
 * clients take as 31 bits, and goes on from whatever it is.
 */
export const TERM_MAX = 2_100_000_000;
