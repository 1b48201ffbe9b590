/**
 * A member of a classic group: its identity, its protocols, and its parked request.
 *
 * @module
 */

import type { Timer } from "../io/timers.ts";
import type { JoinGroupRequestProtocol } from "../wire/generated/join_group_request.ts";
import type { JoinGroupResponse } from "../wire/generated/join_group_response.ts";
import type { SyncGroupResponse } from "../wire/generated/sync_group_response.ts";

/** Ends a request; called exactly once. */
export type Respond<Response> = (response: Response) => void;

/** One way of assigning that a member supports, and its metadata for the leader. */
export interface MemberProtocol {
  readonly name: string;
  /** Opaque to the broker. */
  readonly metadata: Uint8Array;
}

/** What a member says of itself each time it joins. */
export interface MemberTerms {
  readonly rebalanceTimeoutMs: number;
  readonly sessionTimeoutMs: number;
  /** In the member's order of preference. */
  readonly protocols: readonly MemberProtocol[];
}

export interface MemberIdentity {
  readonly id: string;
  /** The static member's own name (KIP-345), or null. */
  readonly instanceId: string | null;
  readonly clientId: string;
  readonly clientHost: string;
}

export const NO_BYTES: Uint8Array = new Uint8Array(0);

export class Member {
  id: string;
  readonly instanceId: string | null;
  clientId: string;
  clientHost: string;
  rebalanceTimeoutMs: number;
  sessionTimeoutMs: number;
  protocols: readonly MemberProtocol[];
  /** What the leader gave it in the current generation; opaque. */
  assignment: Uint8Array = NO_BYTES;
  /** Has not yet received its id, so it cannot send heartbeats. */
  isNew = true;
  /** The parked JoinGroup; set through the group, which counts them. */
  join: Respond<JoinGroupResponse> | null = null;
  /** The parked SyncGroup. */
  sync: Respond<SyncGroupResponse> | null = null;
  /** Ends the session when it fires. */
  sessionTimer: Timer | null = null;

  constructor(identity: MemberIdentity, terms: MemberTerms) {
    this.id = identity.id;
    this.instanceId = identity.instanceId;
    this.clientId = identity.clientId;
    this.clientHost = identity.clientHost;
    this.rebalanceTimeoutMs = terms.rebalanceTimeoutMs;
    this.sessionTimeoutMs = terms.sessionTimeoutMs;
    this.protocols = terms.protocols;
  }

  get isStatic(): boolean {
    return this.instanceId !== null;
  }

  get terms(): MemberTerms {
    const { rebalanceTimeoutMs, sessionTimeoutMs, protocols } = this;
    return { rebalanceTimeoutMs, sessionTimeoutMs, protocols };
  }

  /** What it said about itself for the protocol `name`; nothing for null. */
  metadataFor(name: string | null): Uint8Array {
    return this.protocols.find((protocol) => protocol.name === name)?.metadata ?? NO_BYTES;
  }

  /** Whether it supports exactly these protocols, in this order, with the same metadata. */
  matches(protocols: readonly MemberProtocol[]): boolean {
    if (protocols.length !== this.protocols.length) return false;
    return protocols.every((other, at) => {
      const own = this.protocols[at]!;
      return own.name === other.name && sameBytes(own.metadata, other.metadata);
    });
  }

  /** The protocol this member likes best among `candidates`. */
  vote(candidates: ReadonlySet<string>): string | null {
    return this.protocols.find((protocol) => candidates.has(protocol.name))?.name ?? null;
  }
}

/** Protocols of a request, copied out of the receive buffer; of a name given twice, the first. */
export function copyProtocols(protocols: readonly JoinGroupRequestProtocol[]): MemberProtocol[] {
  const names = new Set<string>();
  const result: MemberProtocol[] = [];
  for (const { name, metadata } of protocols) {
    if (names.has(name)) continue;
    names.add(name);
    result.push({ name, metadata: metadata.slice() });
  }
  return result;
}

/** Memory that protocols take (bytes). */
export function protocolsSize(protocols: readonly MemberProtocol[]): number {
  let size = 0;
  for (const { name, metadata } of protocols) size += name.length + metadata.length;
  return size;
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}
