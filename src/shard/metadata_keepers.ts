/**
 * Which other nodes may have a copy of the metadata, in which lives, and where they are, noted in the manifest. A metadata
 * log that damage has cut does not know it any more, and its loss is accepted only where nobody else could have more of it. A
 * start that is to go on without the others has to name them, and cannot read the metadata before it leads it.
 *
 * A life is noted before it becomes a member of the metadata's group, and taken off when a committed configuration is
 * without it.
 *
 * @module
 */

import type { Founder } from "../cluster/founding.ts";
import { Timer, type Timers } from "../io/timers.ts";
import type { Configuration, Member } from "../raft/configuration.ts";
import type { NodeMembership } from "./node_membership.ts";

/** Until a note that could not be written is tried again (ms). */
const RETRY_MS = 1_000;

export interface MetadataKeepersOptions {
  readonly nodeId: number;
  readonly membership: Pick<NodeMembership, "keepers" | "noteKeepers">;
  readonly timers: Timers;
  readonly nowMs: () => number;
  /** Who a member is, and where. */
  readonly lifeOf: (member: Member) => Founder;
  /** Another list is durable. */
  readonly onNoted: () => void;
}

export class MetadataKeepers {
  readonly #options: MetadataKeepersOptions;
  readonly #retry = new Timer(() => this.#write());
  /** The last committed configuration that was looked at. */
  #settled: Configuration | null = null;
  /** What is being written, and what is to be then. */
  #writing: readonly Founder[] | null = null;
  #wanted: readonly Founder[] | null = null;

  constructor(options: MetadataKeepersOptions) {
    this.#options = options;
  }

  /** What is noted when all is written. */
  get #latest(): readonly Founder[] {
    return this.#wanted ?? this.#writing ?? this.#options.membership.keepers;
  }

  /**
   * Whether all of these are noted, and stay so; if not, they will be, and `onNoted` follows. A list that is being written
   * may be without one that the last one had.
   */
  covers(members: readonly Member[]): boolean {
    const others = this.#othersIn(members);
    const { membership } = this.#options;
    const isNoted = (one: Founder): boolean =>
      hasKeeper(membership.keepers, one) && hasKeeper(this.#latest, one);
    if (others.every(isNoted)) return true;
    const news = others.filter((one) => !hasKeeper(this.#latest, one));
    this.#want([...this.#latest, ...news]);
    return false;
  }

  /** A configuration is committed: nobody else has a copy that counts. */
  settled(configuration: Configuration): void {
    if (configuration === this.#settled) return;
    this.#settled = configuration;
    const { voters, outgoing, learners } = configuration;
    this.#want(this.#othersIn([...voters, ...outgoing, ...learners]));
  }

  /** A node may be somewhere else, or more may be known of it. */
  moved(): void {
    this.#settled = null;
  }

  stop(): void {
    this.#options.timers.cancel(this.#retry);
    this.#wanted = null;
  }

  /** Each life once, by node. */
  #othersIn(members: readonly Member[]): Founder[] {
    const { nodeId, lifeOf } = this.#options;
    const others = members.filter(({ node }) => node !== nodeId).map(lifeOf);
    return others.filter((one, at) => !hasKeeper(others.slice(0, at), one));
  }

  #want(keepers: readonly Founder[]): void {
    const wanted = [...keepers].sort((a, b) => a.nodeId - b.nodeId);
    const isNoted = this.#writing === null && isSame(wanted, this.#options.membership.keepers);
    this.#wanted = isNoted ? null : wanted;
    if (this.#writing === null && !this.#retry.scheduled) this.#write();
  }

  #write(): void {
    const keepers = this.#wanted;
    if (keepers === null) return;
    this.#wanted = null;
    this.#writing = keepers;
    const { membership, timers, nowMs, onNoted } = this.#options;
    membership.noteKeepers(keepers, (refusal) => {
      this.#writing = null;
      if (refusal === null) onNoted();
      else {
        this.#wanted ??= keepers;
        timers.schedule(this.#retry, nowMs() + RETRY_MS);
      }
      if (!this.#retry.scheduled && this.#writing === null) this.#write();
    });
  }
}

function hasKeeper(keepers: readonly Founder[], { nodeId, incarnation }: Founder): boolean {
  return keepers.some((one) => one.nodeId === nodeId && one.incarnation === incarnation);
}

function isSame(a: readonly Founder[], b: readonly Founder[]): boolean {
  return a.length === b.length && a.every((one, at) => {
    const other = b[at]!;
    return hasKeeper([other], one) && one.host === other.host && one.port === other.port;
  });
}
