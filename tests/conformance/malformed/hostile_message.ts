/**
 * Invents requests that decode: any API in any version, filled with what a careless or hostile client
 * might say. Extremes of every integer, names that exist and names that do not, empty and very long
 * strings, record batches whole and broken.
 *
 * One seeded Random decides everything; `tests/conformance/codec/arbitrary_message.ts` does the same
 * for fast-check, at a hundredth of the speed.
 *
 * @module
 */

import type { Random } from "../../../src/base/prng.ts";
import type { CatalogEntry, CatalogField } from "../../../src/wire/catalog_entry.ts";
import { CATALOG } from "../../../src/wire/generated/catalog.ts";
import { ZERO_UUID } from "../../../src/wire/uuid.ts";

const ENTRIES = new Map(CATALOG.map((entry) => [entry.name, entry]));

const INT32S = [-2147483648, -1000, -2, -1, 0, 1, 2, 3, 100, 65536, 2147483647];
const INT64S = [
  -Number.MAX_SAFE_INTEGER,
  -3,
  -2,
  -1,
  0,
  1,
  2,
  5,
  1_700_000_000_000,
  2 ** 53,
  2 ** 62,
];
const INT16S = [-32768, -2, -1, 0, 1, 2, 3, 32767];
const INT8S = [-128, -1, 0, 1, 2, 3, 4, 16, 127];
const FLOATS = [0, -0, 1, -1, NaN, Infinity, -Infinity, Number.MAX_VALUE];

/** What strings, ids and byte strings are chosen from. */
export interface Vocabulary {
  readonly strings: readonly string[];
  readonly uuids: readonly string[];
  readonly bytes: readonly Uint8Array[];
}

/** The catalog's description of a message. */
export function catalogEntry(name: string): CatalogEntry {
  return ENTRIES.get(name)!;
}

export class HostileMessages {
  readonly #random: Random;
  readonly #vocabulary: Vocabulary;

  constructor(random: Random, vocabulary: Vocabulary) {
    this.#random = random;
    this.#vocabulary = vocabulary;
  }

  /** A random value of `entry` that `version` can carry. */
  message(entry: CatalogEntry, version: number): object {
    return this.#struct(entry, entry.name, version);
  }

  #struct(entry: CatalogEntry, name: string, version: number): object {
    const struct = entry.structs[name]!;
    const value = struct.create() as Record<string, unknown>;
    for (const field of struct.fields) {
      if (isIn(version, field.versions)) value[field.name] = this.#field(entry, field, version);
    }
    return value;
  }

  #field(entry: CatalogEntry, field: CatalogField, version: number): unknown {
    const nullable = field.nullable !== undefined && isIn(version, field.nullable);
    if (nullable && this.#random.nextBelow(4) === 0) return null;
    return this.#value(entry, field.type, version);
  }

  #value(entry: CatalogEntry, type: string, version: number): unknown {
    const random = this.#random;
    if (type.startsWith("[]")) {
      const length = random.nextBelow(4);
      return Array.from({ length }, () => this.#value(entry, type.slice(2), version));
    }
    switch (type) {
      case "bool":
        return random.nextBelow(2) === 0;
      case "int8":
        return this.#pick(INT8S);
      case "int16":
        return this.#pick(INT16S);
      case "uint16":
        return random.nextBelow(65536);
      case "int32":
        return this.#pick(INT32S);
      case "uint32":
        return random.nextUint32();
      case "int64":
        return this.#pick(INT64S);
      case "float64":
        return this.#pick(FLOATS);
      case "string":
        return this.#string();
      case "uuid":
        return random.nextBelow(3) === 0 ? ZERO_UUID : this.#pick(this.#vocabulary.uuids);
      case "bytes":
      case "records":
        return this.#pick(this.#vocabulary.bytes);
      default:
        return this.#struct(entry, type, version);
    }
  }

  #string(): string {
    switch (this.#random.nextBelow(40)) {
      case 0:
        return "";
      case 1:
        return "x".repeat(32767);
      case 2:
        return "ä€𝄞\u0000\n\u001b[31m".repeat(1 + this.#random.nextBelow(40));
      case 3:
        return String(this.#pick(INT64S));
      default:
        return this.#pick(this.#vocabulary.strings);
    }
  }

  #pick<T>(from: readonly T[]): T {
    return from[this.#random.nextBelow(from.length)]!;
  }
}

function isIn(version: number, range: readonly [number, number]): boolean {
  return version >= range[0] && version <= range[1];
}
