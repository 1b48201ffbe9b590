/**
 * Lives of nodes: who a member of the metadata's group is, and how a life is named to people.
 *
 * A node that lost its disk comes back in another life. The groups know a life by a number, which is a part of its uuid
 * (`memberIncarnation`). Where nothing else is left of it, the number stands for it.
 *
 * @module
 */

import type { Uuid } from "../wire/uuid.ts";
import type { Founder } from "./founding_state.ts";
import { type GroupMember, memberIncarnation } from "./members.ts";

const ANY_INCARNATION = 0;
const DIGITS = 8;
/** Follows the number of a life of which nothing else is known. No uuid that was drawn ends like that. */
const UNKNOWN_REST = "0".repeat(24);
const NAMED = /^(\d{1,10})(?::([0-9a-f]{8}))?$/i;
const NODE_ID_MAX = 2 ** 31 - 1;

/** A life as a person names it. */
export interface NamedLife {
  readonly nodeId: number;
  /** Its number as a member of groups; null: only the node was named. */
  readonly life: number | null;
}

/** Reads `1:5f6e1c0a`, or `1`; null: it is neither. */
export function readLife(text: string): NamedLife | null {
  const found = NAMED.exec(text.trim());
  if (found === null || Number(found[1]) > NODE_ID_MAX) return null;
  return {
    nodeId: Number(found[1]),
    life: found[2] === undefined ? null : Number.parseInt(found[2], 16),
  };
}

/** The number of a life, for people. */
export function lifeText(incarnation: Uuid): string {
  return memberIncarnation(incarnation).toString(16).padStart(DIGITS, "0");
}

/** As {@linkcode readLife} reads it. */
export function nameOfLife(
  { nodeId, incarnation }: Pick<Founder, "nodeId" | "incarnation">,
): string {
  return `${nodeId}:${lifeText(incarnation)}`;
}

/** Whether a person named this life, and not only its node. */
export function isNamed(
  named: readonly NamedLife[],
  { nodeId, incarnation }: Pick<Founder, "nodeId" | "incarnation">,
): boolean {
  return named.some((one) => one.nodeId === nodeId && one.life === memberIncarnation(incarnation));
}

/** Stands for a life of which only the number is known. */
export function partialLife(incarnation: number): Uuid {
  return incarnation.toString(16).padStart(DIGITS, "0") + UNKNOWN_REST;
}

/** Only the number of that life is known. */
export function isPartial(incarnation: Uuid): boolean {
  return incarnation.endsWith(UNKNOWN_REST);
}

/** Whether two uuids stand for one life. */
export function isSameLife(a: Uuid, b: Uuid): boolean {
  if (a === b) return true;
  return (isPartial(a) || isPartial(b)) && memberIncarnation(a) === memberIncarnation(b);
}

/**
 * Who a member of the metadata's group is, and where; of a life that is not among those that are known only its number, and
 * where its node is in another one (an empty host: nowhere).
 *
 * @param known those that count more first; an empty incarnation: only the node is known
 */
export function lifeOfMember(
  { node, incarnation }: GroupMember,
  known: readonly Founder[],
): Founder {
  const ofNode = known.filter(({ nodeId }) => nodeId === node);
  const found = ofNode.find((one) =>
    one.incarnation !== "" &&
    (incarnation === ANY_INCARNATION || memberIncarnation(one.incarnation) === incarnation)
  );
  if (found !== undefined) return found;
  const { host, port } = ofNode.find((one) => one.host !== "") ?? { host: "", port: 0 };
  const life = incarnation === ANY_INCARNATION ? "" : partialLife(incarnation);
  return { nodeId: node, incarnation: life, host, port };
}
