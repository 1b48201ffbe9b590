/**
 * Faults that a test orders from a running broker, by a file: the environment variable
 * `GREGOR_X_FAULTS` names it, and without the variable none of this runs.
 *
 * ```text
 *   FILE        {"sequence": 3, "rules": [{"ops": ["Write"], "file": "/journal-", "errno": 5}]}
 *   FILE.done   3            written once the rules of sequence 3 are in force
 * ```
 *
 * A rule with `file` (a regular expression) acts on the descriptors of the process whose path matches;
 * they are looked for again at every poll, since files are opened as they are needed. What the other
 * fields mean is written at {@linkcode FaultRule}. Rules of an earlier sequence end with the next one.
 *
 * @module
 */

import { clearFault, type FaultRule, setFault } from "../io/faults.ts";
import type { Shim } from "../io/shim.ts";
import { Op } from "../io/uring_ops.ts";

/** Names the file; for tests only. */
export const FAULT_FILE_VARIABLE = "GREGOR_X_FAULTS";

const POLL_MS = 50;
const SLOTS = 16;

interface OrderedRule extends Omit<FaultRule, "opcodes" | "fd"> {
  readonly ops: readonly (keyof typeof Op)[];
  readonly file?: string;
}

interface Order {
  readonly sequence: number;
  readonly rules: readonly OrderedRule[];
}

/** Obeys the file that the environment names, until the process ends; does nothing if it names none. */
export function obeyFaultFile(shim: Shim): void {
  const path = Deno.env.get(FAULT_FILE_VARIABLE);
  if (path === undefined) return;
  const faults = new FaultFile(shim, path);
  faults.poll();
  Deno.unrefTimer(setInterval(() => faults.poll(), POLL_MS));
}

class FaultFile {
  readonly #shim: Shim;
  readonly #path: string;
  #order: Order = { sequence: 0, rules: [] };
  #used = 0;
  /** Rule and descriptor pairs that have a slot already. */
  readonly #set = new Set<string>();

  constructor(shim: Shim, path: string) {
    this.#shim = shim;
    this.#path = path;
  }

  poll(): void {
    const order = this.#read();
    const isNew = order !== null && order.sequence !== this.#order.sequence;
    if (isNew) {
      for (let slot = 0; slot < this.#used; slot++) clearFault(this.#shim, slot);
      this.#used = 0;
      this.#set.clear();
      this.#order = order;
    }
    this.#order.rules.forEach((rule, index) => this.#apply(rule, index));
    if (isNew) Deno.writeTextFileSync(`${this.#path}.done`, String(order.sequence));
  }

  /** Null while the file is not there. It is replaced as a whole, by renaming. */
  #read(): Order | null {
    try {
      return JSON.parse(Deno.readTextFileSync(this.#path)) as Order;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return null;
      throw error;
    }
  }

  #apply(rule: OrderedRule, index: number): void {
    const { ops, file, ...rest } = rule;
    const opcodes = ops.map((name) => Op[name]);
    if (file === undefined) return this.#place(`${index}`, { ...rest, opcodes });
    const pattern = new RegExp(file);
    for (const { fd, path } of openFiles()) {
      if (pattern.test(path)) this.#place(`${index}/${fd}/${path}`, { ...rest, opcodes, fd });
    }
  }

  #place(key: string, rule: FaultRule): void {
    if (this.#set.has(key) || this.#used === SLOTS) return;
    this.#set.add(key);
    setFault(this.#shim, this.#used++, rule);
  }
}

function openFiles(): { readonly fd: number; readonly path: string }[] {
  const files = [];
  for (const { name } of Deno.readDirSync("/proc/self/fd")) {
    try {
      files.push({ fd: Number(name), path: Deno.readLinkSync(`/proc/self/fd/${name}`) });
    } catch (error) {
      // Closed meanwhile: the directory's own descriptor always is.
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return files;
}
