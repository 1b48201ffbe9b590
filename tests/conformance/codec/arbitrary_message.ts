/**
 * Invents values of any message in any version, from the generated catalog.
 *
 * Fields that a version does not have keep their defaults, so that what is encoded can be decoded
 * to an equal value.
 *
 * @module
 */

import fc from "../../harness/fast_check.ts";
import type { CatalogEntry, CatalogField } from "../../../src/wire/catalog_entry.ts";
import { ZERO_UUID } from "../../../src/wire/uuid.ts";

/** How long arrays, strings and byte strings may be. */
export interface Sizes {
  readonly elementsMax: number;
  readonly textMax: number;
}

/** Random values of `entry` that `version` can carry. */
export function arbitraryMessage(
  entry: CatalogEntry,
  version: number,
  sizes: Sizes,
): fc.Arbitrary<object> {
  return arbitraryStruct(entry, entry.name, version, sizes);
}

function arbitraryStruct(
  entry: CatalogEntry,
  name: string,
  version: number,
  sizes: Sizes,
): fc.Arbitrary<object> {
  const struct = entry.structs[name]!;
  const model: Record<string, fc.Arbitrary<unknown>> = {};
  for (const field of struct.fields) {
    if (!isIn(version, field.versions)) continue;
    model[field.name] = arbitraryField(entry, field, version, sizes);
  }
  return fc.record(model).map((fields) => Object.assign(struct.create(), fields));
}

function arbitraryField(
  entry: CatalogEntry,
  field: CatalogField,
  version: number,
  sizes: Sizes,
): fc.Arbitrary<unknown> {
  const value = arbitraryValue(entry, field.type, version, sizes);
  return field.nullable !== undefined && isIn(version, field.nullable)
    ? fc.option(value, { nil: null, freq: 3 })
    : value;
}

function arbitraryValue(
  entry: CatalogEntry,
  type: string,
  version: number,
  sizes: Sizes,
): fc.Arbitrary<unknown> {
  if (type.startsWith("[]")) {
    const element = arbitraryValue(entry, type.slice(2), version, sizes);
    return fc.array(element, { maxLength: sizes.elementsMax });
  }
  switch (type) {
    case "bool":
      return fc.boolean();
    case "int8":
      return fc.integer({ min: -128, max: 127 });
    case "int16":
      return fc.integer({ min: -32768, max: 32767 });
    case "uint16":
      return fc.integer({ min: 0, max: 65535 });
    case "int32":
      return fc.integer();
    case "uint32":
      return fc.integer({ min: 0, max: 0xffff_ffff });
    case "int64":
      return fc.maxSafeInteger();
    case "float64":
      return fc.double({ noNaN: true });
    case "string":
      return fc.string({ unit: "grapheme", maxLength: sizes.textMax });
    case "uuid":
      return fc.oneof(
        fc.constant(ZERO_UUID),
        fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => bytes.toHex()),
      );
    case "bytes":
    case "records":
      return fc.uint8Array({ maxLength: sizes.textMax });
    default:
      return arbitraryStruct(entry, type, version, sizes);
  }
}

function isIn(version: number, range: readonly [number, number]): boolean {
  return version >= range[0] && version <= range[1];
}
