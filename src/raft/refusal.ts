/**
 * Why a group does not do what it was asked for. All are negative; a log's own refusals, which are also negative
 * (its busy is -11), may be returned in their place.
 *
 * @module
 */

export const Refusal = {
  /** This node does not lead. */
  NOT_LEADER: -101,
  /** It leads, but no entry of its term is committed yet. */
  NOT_READY: -102,
  /** Another change of the configuration is not complete. */
  IN_PROGRESS: -103,
  /** A new voter is not a learner that has caught up. */
  NOT_CAUGHT_UP: -104,
  /** No such configuration is possible, or no voter has that number. */
  INVALID: -105,
  /** No joint configuration is in force. */
  NOTHING_TO_CANCEL: -106,
} as const;
export type Refusal = typeof Refusal[keyof typeof Refusal];
