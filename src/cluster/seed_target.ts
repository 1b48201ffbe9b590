/**
 * An address that a node asks which cluster it should belong to, and what was answered there.
 *
 * @module
 */

import { hostPort } from "../base/address.ts";
import type { NodeHello } from "../wire/generated/node_hello.ts";

export interface RpcAddress {
  readonly host: string;
  readonly port: number;
}

/** An address that is asked. */
export interface Target {
  readonly address: RpcAddress;
  /** Given with `--seeds`; else only a founder of the proposal that this node has agreed to. */
  readonly isSeed: boolean;
  /** It leads back to this process. */
  isSelf: boolean;
  /** The newest answer; null: none yet. */
  answer: NodeHello | null;
  /** The question that it answered. */
  answered: number;
  /** Of the last question. */
  askedMs: number;
  /** Why nobody could be reached there the last time; empty: not known. */
  trouble: string;
  warned: boolean;
}

/** Answers come in any order: of the same node the later one counts, of another one the later question. */
export function isNews({ answer, answered }: Target, hello: NodeHello): boolean {
  if (answer === null) return true;
  return hello.incarnation === answer.incarnation
    ? isLater(hello, answer)
    : hello.answersSequence > answered;
}

/** Both are of one incarnation. */
export function isLater(a: NodeHello, b: NodeHello): boolean {
  return a.run > b.run || (a.run === b.run && a.sequence > b.sequence);
}

/** An address that does not answer, and why, as far as known. */
export function describeSilent({ address, trouble }: Target): string {
  if (trouble === "") return nameOf(address);
  return `${nameOf(address)} (${trouble})`;
}

export function keyOf({ host, port }: RpcAddress): string {
  return `${host} ${port}`;
}

export function nameOf({ host, port }: RpcAddress): string {
  return hostPort(host, port);
}
