/**
 * Whether it is about to be known who leads a group: after an election, and while leadership is handed over as planned.
 *
 * Producers wait for it then, on the node that gets leadership and, until that is named, on the one that gives it.
 *
 * @module
 */

import { MessageKind, type RaftMessage } from "../raft/message.ts";
import type { RaftGroup } from "../raft/raft_group.ts";
import type { ReplicaHost } from "./replica_host.ts";

/** Appends wait so long for the next leader (ms), behind the longest transfer. */
const SUCCESSION_MS = 200;

type SuccessionHost = Pick<ReplicaHost, "nodeId" | "timing" | "nowMs">;

export class Succession {
  readonly #raft: RaftGroup;
  readonly #host: SuccessionHost;
  /** Leadership is handed over, by this node or to it: until then it is expected to be known who leads. */
  #byMs = -Infinity;

  constructor(raft: RaftGroup, host: SuccessionHost) {
    this.#raft = raft;
    this.#host = host;
  }

  /** This node begins to hand over. */
  begin(): void {
    const { timing: { electionMs } } = this.#host;
    this.#byMs = this.#host.nowMs() + electionMs + SUCCESSION_MS;
  }

  /** Notes that leadership comes to this node, if a message says so: clients may be sent here before that. */
  note({ kind, transfer, match }: RaftMessage): void {
    const comes = kind === MessageKind.TIMEOUT_NOW ||
      (kind === MessageKind.HEARTBEAT && transfer && match === this.#host.nodeId);
    if (comes) this.#byMs = this.#host.nowMs() + SUCCESSION_MS;
  }

  get isUndecided(): boolean {
    const { heirId, leaderId, isHeir, openingSinceMs } = this.#raft;
    const nowMs = this.#host.nowMs();
    if (heirId >= 0) return false;
    if (leaderId < 0 || isHeir) return nowMs < this.#byMs;
    // A disk that takes no entry keeps nobody waiting.
    return nowMs < openingSinceMs + SUCCESSION_MS;
  }
}
