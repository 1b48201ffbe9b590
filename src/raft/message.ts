/**
 * What nodes say to each other about one group: numbers only, in one reused object.
 *
 * The bytes are the driver's concern. Fields that a kind does not name below have no meaning in it; `from`,
 * `incarnation`, `term` count in all. `term` is the sender's, except in votes that are not real yet (`pre`): there
 * it is the term that the candidate would begin.
 *
 *     VOTE_REQUEST     index, indexTerm: the candidate's last entry; pre; transfer (its leader asked it to)
 *     VOTE_REPLY       granted; pre
 *     APPEND           index, indexTerm: the entry before the first one sent; commit; forcedIndex; and the entries
 *     APPEND_REPLY     outcome; full (its disk, BUSY); match: durable, and equal to the leader's; accepted: equal, durable or not;
 *                      CONFLICT: prevIndex (refused), index and indexTerm: where the logs may be equal
 *     HEARTBEAT        commit, at most what the receiver acknowledged; index: the last entry sent to it so far;
 *                      token (of a read); quiet; transfer: the node `match` is to lead next, a vote for it may be written ahead;
 *                      prevIndex: the last entry that no log needs to keep (between drivers)
 *     HEARTBEAT_REPLY  outcome; full; match; accepted; index, token: as asked; quiet; transfer: that vote is durable
 *     TIMEOUT_NOW      the receiver campaigns at once
 *     SNAPSHOT         index, indexTerm: the last entry that it covers; forcedIndex; and its contents
 *
 * A reply to an APPEND or SNAPSHOT of an earlier term has the outcome STALE and the receiver's term.
 *
 * @module
 */

export const MessageKind = {
  VOTE_REQUEST: 1,
  VOTE_REPLY: 2,
  APPEND: 3,
  APPEND_REPLY: 4,
  HEARTBEAT: 5,
  HEARTBEAT_REPLY: 6,
  TIMEOUT_NOW: 7,
  SNAPSHOT: 8,
} as const;
export type MessageKind = typeof MessageKind[keyof typeof MessageKind];

/** What became of an append, or what a follower can take at present. */
export const Outcome = {
  OK: 0,
  /** The entry before the first one sent is another one, or missing. */
  CONFLICT: 1,
  /** The log takes nothing now; an OK follows when it does. */
  BUSY: 2,
  /** The sender's term is over. */
  STALE: 3,
} as const;
export type Outcome = typeof Outcome[keyof typeof Outcome];

export class RaftMessage {
  kind: MessageKind = MessageKind.HEARTBEAT;
  /** The sending node, and its incarnation (see `Member`). The driver knows both from the connection. */
  from = -1;
  incarnation = 0;
  term = 0;
  index = 0;
  indexTerm = 0;
  prevIndex = 0;
  commit = 0;
  match = 0;
  accepted = 0;
  token = 0;
  outcome: Outcome = Outcome.OK;
  pre = false;
  transfer = false;
  granted = false;
  quiet = false;
  full = false;

  /**
   * The last entry of the leader's log behind which the group went on by force (`forced.ts`), 0: none is known. It has
   * the place of `prevIndex`, which means something in replies only.
   */
  get forcedIndex(): number {
    return this.prevIndex;
  }
  set forcedIndex(index: number) {
    this.prevIndex = index;
  }

  /** Sets every field to that of an empty message of `kind`. */
  clear(kind: MessageKind): void {
    this.kind = kind;
    this.index = 0;
    this.indexTerm = 0;
    this.prevIndex = 0;
    this.commit = 0;
    this.match = 0;
    this.accepted = 0;
    this.token = 0;
    this.outcome = Outcome.OK;
    this.pre = false;
    this.transfer = false;
    this.granted = false;
    this.quiet = false;
    this.full = false;
  }

  /** For those who keep a message: the one that a sink or a step is given is used again. */
  copyFrom(other: RaftMessage): this {
    this.kind = other.kind;
    this.from = other.from;
    this.incarnation = other.incarnation;
    this.term = other.term;
    this.index = other.index;
    this.indexTerm = other.indexTerm;
    this.prevIndex = other.prevIndex;
    this.commit = other.commit;
    this.match = other.match;
    this.accepted = other.accepted;
    this.token = other.token;
    this.outcome = other.outcome;
    this.pre = other.pre;
    this.transfer = other.transfer;
    this.granted = other.granted;
    this.quiet = other.quiet;
    this.full = other.full;
    return this;
  }
}
