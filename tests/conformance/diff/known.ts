/**
 * The differences that are meant, each with its reason: `docs/DIFFERENCES.md` is made of this list
 * (`scripts/generate_docs.ts`), and an entry that no longer occurs fails the check.
 *
 * @module
 */

import type { Json, JsonObject, Step } from "./case.ts";
import { KNOWN_ADMIN } from "./known_admin.ts";
import { KNOWN_CONFIGS } from "./known_configs.ts";
import { KNOWN_DATA } from "./known_data.ts";
import { KNOWN_GROUPS } from "./known_groups.ts";
import type { Difference } from "./lane.ts";

export interface KnownDifference {
  /** The API; several where they have it in common. */
  readonly apis: readonly string[];
  /** Which fields: matched against the path without indexes, `topics[].errorCode`. */
  readonly path: RegExp;
  /** Matched against the values as JSON; any value, where absent. */
  readonly kafka?: RegExp;
  readonly gregor?: RegExp;
  /** Matched against the request as JSON; or what says whether it is meant. */
  readonly request?: RegExp | ((request: JsonObject, step: Step) => boolean);
  /** Matched against the earlier requests of the case, as JSON. */
  readonly after?: RegExp;
  /** What says whether the two values are meant, beside each other. */
  readonly values?: (kafka: Json, gregor: Json) => boolean;
  /** Matched against what was done to the frame, as JSON. */
  readonly damage?: RegExp;
  /** The brokers' states differ from there on: what follows in the case is not compared. */
  readonly endsCase?: true;
  /** Chance decides whether a run meets it, so that a run without it says nothing. */
  readonly byChance?: true;
  /** For the page: what is asked, what each does, and why that is meant. */
  readonly asked: string;
  readonly kafkaDoes: string;
  readonly gregorDoes: string;
  readonly reason: string;
}

/** The entry that a difference belongs to; null for news. */
export function knownAs(difference: Difference): KnownDifference | null {
  return KNOWN.find((known) => matches(known, difference)) ?? null;
}

function matches(
  known: KnownDifference,
  { step, earlier, path, kafka, gregor }: Difference,
): boolean {
  return known.apis.includes(step.api) &&
    known.path.test(path.replace(/\[\d+\]/g, "[]")) &&
    (known.kafka?.test(JSON.stringify(kafka)) ?? true) &&
    (known.gregor?.test(JSON.stringify(gregor)) ?? true) &&
    (known.after?.test(JSON.stringify(earlier)) ?? true) &&
    (known.values?.(kafka, gregor) ?? true) &&
    (known.damage?.test(JSON.stringify(step.damage ?? null)) ?? true) &&
    isMeant(known.request, step);
}

function isMeant(wanted: KnownDifference["request"], step: Step): boolean {
  if (typeof wanted === "function") return wanted(step.request, step);
  return wanted?.test(JSON.stringify(step.request)) ?? true;
}

export const KNOWN: readonly KnownDifference[] = [
  ...KNOWN_ADMIN,
  ...KNOWN_CONFIGS,
  ...KNOWN_DATA,
  ...KNOWN_GROUPS,
];

/** What is not compared at all, and why; for the page. */
export const NOT_COMPARED: readonly string[] = [
  "AlterConfigs with one resource named twice: Kafka 4.4 does not answer.",
  "Produce without records (null): Kafka 4.4 does not answer.",
  "JoinGroup with one protocol named twice: Kafka 4.4 does not answer.",
  "Timeouts up to some milliseconds for changes of topics: whether Kafka's controller observes them is " +
  "chance. Gregor answers when the change is committed.",
  "Versions that only one of the two serves.",
];
