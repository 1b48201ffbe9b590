/**
 * Nodes that cannot be reached, and what their groups hear of it.
 *
 * That a node is gone is told once, to the groups that there are then. A replica that is made later, or gets a member there
 * later, would take it for reachable: it is told at the end of its turn.
 *
 * @module
 */

import { ELECTIONS_PER_MS } from "../base/limits.ts";
import type { GroupReplica } from "./group_replica.ts";

/** A member on a node came to a group. */
interface Joined {
  readonly replica: GroupReplica;
  readonly node: number;
}

export class GoneNodes {
  readonly #isSilent: (node: number, groupId: number) => boolean;
  /** No connection to them can be made. */
  readonly #down = new Set<number>();
  readonly #joined: Joined[] = [];

  /** @param isSilent whether the node's shard of a group is connected, and not heard */
  constructor(isSilent: (node: number, groupId: number) => boolean) {
    this.#isSilent = isSilent;
  }

  onUp(node: number): void {
    this.#down.delete(node);
  }

  onDown(node: number, replicas: Iterable<GroupReplica>): void {
    this.#down.add(node);
    this.lose(node, replicas);
  }

  /** Groups that the node led elect others, one after another. */
  lose(node: number, replicas: Iterable<GroupReplica>): void {
    let led = 0;
    for (const replica of replicas) {
      const delayMs = led / ELECTIONS_PER_MS;
      if (replica.raft.leaderId === node) led++;
      replica.peerDown(node, delayMs);
    }
  }

  joined(replica: GroupReplica, node: number): void {
    if (this.#isGone(node, replica.groupId)) this.#joined.push({ replica, node });
  }

  /** The turn ends, and the replicas are in order. */
  tell(): void {
    if (this.#joined.length === 0) return;
    for (const { replica, node } of this.#joined.splice(0)) {
      if (this.#isGone(node, replica.groupId)) replica.peerDown(node, 0);
    }
  }

  #isGone(node: number, groupId: number): boolean {
    return this.#down.has(node) || this.#isSilent(node, groupId);
  }
}
