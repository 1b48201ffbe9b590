/**
 * What a group knows of one other member: on every node whether it can be reached, on a leader how far it is.
 *
 *     PROBE      where its log ends is unknown: one append at a time, until it is accepted
 *     REPLICATE  appends are sent ahead, up to a window of bytes
 *     SNAPSHOT   its log ends before ours starts
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import {
  FLIGHT_BEATS_MAX,
  FLIGHT_BYTES_PER_BEAT,
  KEEPS_UP_MS,
  PEER_WINDOW_APPENDS,
  PEER_WINDOW_BYTES,
  PROBE_BEATS_MAX,
} from "./limits.ts";

export const PeerState = { PROBE: 0, REPLICATE: 1, SNAPSHOT: 2 } as const;
export type PeerState = typeof PeerState[keyof typeof PeerState];

export class Peer {
  readonly node: number;
  readonly incarnation: number;
  /** Its part in the configuration in force. */
  isVoter = false;
  isOutgoing = false;
  isLearner = false;

  /** Messages to it may arrive. */
  isUp = true;
  /** A candidate: it granted its vote, for real or not, in this campaign. */
  hasGranted = false;
  /** Refused its vote in this campaign. */
  hasRefused = false;
  /** A leader that hands over: its vote for the next one is written ahead, durably. */
  hasWrittenAhead = false;

  // From here on: a leader's, in its term.
  state: PeerState = PeerState.PROBE;
  /** Durable there and equal to ours. */
  match = 0;
  /** The next entry to be sent; of a probe that is out, its first one. */
  next = 1;
  /** Last entry of the probe that is out, or 0. */
  probeLast = 0;
  /** The driver has been asked for an append and has not answered; from where on (0: for a snapshot). */
  isReading = false;
  readFrom = 0;
  /** It can take nothing at present, and says when it can. */
  isBusy = false;
  /** Its disk is full: it refused what was sent last. */
  isFull = false;
  /** Heartbeats in a row that it answered without having got further, though something was sent to it. */
  #stuckBeats = 0;
  #stuckAt = 0;
  /** When it last answered; -Infinity before a leader took it over. */
  heardMs = -Infinity;
  /** When it last had everything that the leader had by then; -Infinity: not since its connection was made, or it has lost some. */
  caughtUpMs = -Infinity;
  /** Last entry of the leader when it last answered. */
  #heardLast = 0;
  /** The last round of reads that it answered. */
  readToken = 0;
  /** It knows that all is said: it expects no heartbeats. */
  isQuiet = false;
  /** The snapshot that it is to take, or 0 while the driver makes it; and when it was sent. */
  snapshotIndex = 0;
  snapshotMs = 0;

  readonly #lasts = new Float64Array(PEER_WINDOW_APPENDS);
  readonly #bytes = new Float64Array(PEER_WINDOW_APPENDS);
  #head = 0;
  #count = 0;
  #bytesInFlight = 0;
  #probeBytes = 0;

  constructor(node: number, incarnation: number) {
    this.node = node;
    this.incarnation = incarnation;
  }

  get bytesInFlight(): number {
    return this.#bytesInFlight;
  }

  get isWindowFull(): boolean {
    return this.#count === PEER_WINDOW_APPENDS;
  }

  /** The last entry that it was sent, as far as it matters whether that arrived. */
  get lastSent(): number {
    if (this.state === PeerState.REPLICATE) return this.next - 1;
    return Math.max(
      this.match,
      this.state === PeerState.PROBE ? this.probeLast : this.snapshotIndex,
    );
  }

  /** A new leader knows nothing of it but that its own log ends at `lastIndex`. */
  beginTerm(lastIndex: number, nowMs: number): void {
    this.match = 0;
    this.isBusy = false;
    this.isFull = false;
    this.heardMs = nowMs;
    this.caughtUpMs = this.isUp ? nowMs : -Infinity;
    this.#heardLast = lastIndex;
    this.readToken = 0;
    this.isQuiet = false;
    this.hasWrittenAhead = false;
    this.#stuckBeats = 0;
    this.#stuckAt = 0;
    this.probe(lastIndex + 1);
  }

  /** Asks from `next` on where its log ends. */
  probe(next: number): void {
    this.state = PeerState.PROBE;
    this.next = next;
    this.probeLast = 0;
    this.isReading = false;
    this.snapshotIndex = 0;
    this.#forgetFlight();
  }

  replicate(next: number): void {
    assert(next > this.match, "what is durable there is not sent again");
    this.state = PeerState.REPLICATE;
    this.next = next;
    this.probeLast = 0;
    this.snapshotIndex = 0;
    // A probe that is being read belongs to the past.
    this.isReading = false;
    this.#forgetFlight();
  }

  awaitSnapshot(): void {
    this.state = PeerState.SNAPSHOT;
    this.isReading = false;
    this.probeLast = 0;
    this.snapshotIndex = 0;
    this.#forgetFlight();
  }

  /** An append up to `lastIndex` was sent. */
  noteSent(lastIndex: number, bytes: number): void {
    if (this.state === PeerState.PROBE) {
      this.probeLast = lastIndex;
      this.#probeBytes = bytes;
      return;
    }
    assert(this.#count < PEER_WINDOW_APPENDS, "the window of appends is full");
    const at = (this.#head + this.#count) % PEER_WINDOW_APPENDS;
    this.#lasts[at] = lastIndex;
    this.#bytes[at] = bytes;
    this.#count++;
    this.#bytesInFlight += bytes;
    this.next = lastIndex + 1;
  }

  /**
   * It answered that everything up to `match` is durable there; the leader's own log ends at `lastIndex`. One whose log turned
   * out to be damaged is busy for good, and has less than it once had, which is nothing.
   */
  noteHeard(match: number, lastIndex: number, isBusy: boolean, nowMs: number): void {
    if (match < this.match || (isBusy && match === 0)) this.caughtUpMs = -Infinity;
    else if (match >= lastIndex) this.caughtUpMs = nowMs;
    else if (match >= this.#heardLast) {
      // It has what there was when it answered the time before.
      this.caughtUpMs = Math.max(this.caughtUpMs, this.heardMs);
    }
    this.#heardLast = lastIndex;
    this.heardMs = nowMs;
  }

  /** It says whether its disk is full, which is over when it has taken something. @param hasTaken more is durable there */
  noteFull(isFull: boolean, hasTaken: boolean): void {
    this.isFull = isFull || (this.isFull && !hasTaken);
  }

  /** It is spoken to again, if it was quiet: until now it had everything, and needed not to say so. */
  endQuiet(nowMs: number): void {
    if (!this.isQuiet) return;
    this.isQuiet = false;
    this.heardMs = nowMs;
    this.caughtUpMs = nowMs;
  }

  /** It can be reached, takes what is sent to it, and had everything at a moment not before `sinceMs`. */
  isInSync(sinceMs: number): boolean {
    return this.isUp && !this.isFull && (this.isQuiet || this.caughtUpMs >= sinceMs);
  }

  /** It can be reached, and has what the leader appended a moment ago. */
  keepsUp(nowMs: number): boolean {
    return this.isInSync(nowMs - KEEPS_UP_MS);
  }

  /** Everything up to `index` is durable there; returns whether that is news. */
  noteMatch(index: number): boolean {
    if (index <= this.match) return false;
    this.match = index;
    while (this.#count > 0 && this.#lasts[this.#head]! <= index) {
      this.#bytesInFlight -= this.#bytes[this.#head]!;
      this.#head = (this.#head + 1) % PEER_WINDOW_APPENDS;
      this.#count--;
    }
    if (this.next <= index && this.state === PeerState.REPLICATE) this.next = index + 1;
    return true;
  }

  /**
   * It answered a heartbeat, and has accepted entries up to `accepted`.
   *
   * @returns whether what was sent to it must be taken for lost: it does not get further
   */
  isStuck(accepted: number): boolean {
    const isFlying = this.state === PeerState.REPLICATE && this.#count > 0;
    const reached = Math.max(accepted, this.match);
    // A peer that looked for another leader meanwhile does not know any more what it had accepted.
    const waits = this.state === PeerState.PROBE
      ? this.probeLast > 0
      : this.state === PeerState.REPLICATE && reached < this.next - 1;
    if (!waits || reached > this.#stuckAt) {
      this.#stuckBeats = 0;
      this.#stuckAt = reached;
      return false;
    }
    this.#stuckBeats++;
    const bytes = this.state === PeerState.PROBE ? this.#probeBytes : this.#bytesInFlight;
    const more = Math.max(0, bytes - PEER_WINDOW_BYTES) / FLIGHT_BYTES_PER_BEAT;
    if (this.#stuckBeats < (isFlying ? FLIGHT_BEATS_MAX : PROBE_BEATS_MAX) + more) return false;
    this.#stuckBeats = 0;
    return true;
  }

  #forgetFlight(): void {
    this.#head = 0;
    this.#count = 0;
    this.#bytesInFlight = 0;
  }
}
