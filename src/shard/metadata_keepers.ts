/**
 * Which other nodes may have a copy of the metadata, noted in the manifest: a metadata log that damage has cut does not
 * know it any more, and its loss is accepted only where nobody else could have more of it.
 *
 * A node is noted before it becomes a member of the metadata's group, and taken off when a committed configuration is
 * without it.
 *
 * @module
 */

import { Timer, type Timers } from "../io/timers.ts";
import type { Configuration } from "../raft/configuration.ts";
import type { NodeMembership } from "./node_membership.ts";

/** Until a note that could not be written is tried again (ms). */
const RETRY_MS = 1_000;

export interface MetadataKeepersOptions {
  readonly nodeId: number;
  readonly membership: Pick<NodeMembership, "keepers" | "noteKeepers">;
  readonly timers: Timers;
  readonly nowMs: () => number;
  /** Another list is durable. */
  readonly onNoted: () => void;
}

export class MetadataKeepers {
  readonly #options: MetadataKeepersOptions;
  readonly #retry = new Timer(() => this.#write());
  /** The last committed configuration that was looked at. */
  #settled: Configuration | null = null;
  #wanted: readonly number[] | null = null;
  #isWriting = false;

  constructor(options: MetadataKeepersOptions) {
    this.#options = options;
  }

  /** Other nodes, in order. */
  get nodes(): readonly number[] {
    return this.#options.membership.keepers;
  }

  /** Whether all of these are noted; if not, they will be, and `onNoted` follows. */
  covers(members: readonly { readonly node: number }[]): boolean {
    const { nodes } = this;
    const others = this.#othersIn(members);
    if (others.every((node) => nodes.includes(node))) return true;
    this.#want([...nodes, ...others]);
    return false;
  }

  /** A configuration is committed: nobody else has a copy that counts. */
  settled(configuration: Configuration): void {
    if (configuration === this.#settled) return;
    this.#settled = configuration;
    const { voters, outgoing, learners } = configuration;
    this.#want(this.#othersIn([...voters, ...outgoing, ...learners]));
  }

  stop(): void {
    this.#options.timers.cancel(this.#retry);
    this.#wanted = null;
  }

  #othersIn(members: readonly { readonly node: number }[]): number[] {
    return members.map(({ node }) => node).filter((node) => node !== this.#options.nodeId);
  }

  #want(nodes: readonly number[]): void {
    const wanted = [...new Set(nodes)].sort((a, b) => a - b);
    const isNoted = !this.#isWriting && `${wanted}` === `${this.nodes}`;
    this.#wanted = isNoted ? null : wanted;
    if (!this.#isWriting && !this.#retry.scheduled) this.#write();
  }

  #write(): void {
    const nodes = this.#wanted;
    if (nodes === null) return;
    this.#wanted = null;
    this.#isWriting = true;
    const { membership, timers, nowMs, onNoted } = this.#options;
    membership.noteKeepers(nodes, (refusal) => {
      this.#isWriting = false;
      if (refusal === null) onNoted();
      else {
        this.#wanted ??= nodes;
        timers.schedule(this.#retry, nowMs() + RETRY_MS);
      }
      if (!this.#retry.scheduled && !this.#isWriting) this.#write();
    });
  }
}
