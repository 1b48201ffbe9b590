/**
 * Cases without end, from a seed: templates with several fields changed at once, in any version, and
 * families of requests in any order. Case N of a seed is the same in every run.
 *
 * @module
 */

import { type Random, Xoshiro128 } from "../../../src/base/prng.ts";
import { versionsOf } from "./apis.ts";
import type { Case, JsonObject, Step } from "./case.ts";
import { damagedCase, DAMAGES } from "./frames.ts";
import { namesPartitionTwice } from "./known_data.ts";
import { variations } from "./mutate.ts";
import { FAMILIES, hasApi } from "./sequences.ts";
import { asOwn, caseOf, isAnswered, type Template, versionsOfTemplate } from "./template.ts";
import { TEMPLATES } from "./templates.ts";

const CHANGES_MAX = 4;
/** Requests of a sequence, after its opening. */
const SEQUENCE_MAX = 5;

/** Case `index` of a seed; null where chance made one that is not to be asked. */
export function randomCase(
  seed: number,
  index: number,
  apis: ReadonlySet<string> | null,
): Case | null {
  const random = new Xoshiro128(seed * 1_000_003 + index);
  const found = random.nextBelow(3) === 0 ? sequence(random, apis) : changedTemplate(random, apis);
  return found === null ? null : { ...found, name: `seed ${seed}, case ${index}: ${found.name}` };
}

/** Cases from `first` on, for ever. */
export function* randomCases(
  seed: number,
  first: number,
  apis: ReadonlySet<string> | null,
): Generator<Case> {
  for (let index = first;; index++) {
    const one = randomCase(seed, index, apis);
    if (one !== null) yield one;
  }
}

function pick<T>(random: Random, from: readonly T[]): T {
  return from[random.nextBelow(from.length)]!;
}

function changedTemplate(random: Random, apis: ReadonlySet<string> | null): Case | null {
  const templates = TEMPLATES.filter(({ api }) => apis?.has(api) ?? true);
  const template = pick(random, templates);
  const version = pick(random, versionsOfTemplate(template));
  let request = template.request;
  const names: string[] = [];
  for (let i = random.nextBelow(CHANGES_MAX); i >= 0; i--) {
    const changes = [...variations(template.api, version, request)];
    // A version without fields has nothing to change.
    if (changes.length === 0) break;
    const change = pick(random, changes);
    if (!isAnswered(template, change.name)) return null;
    names.push(change.name);
    request = change.request;
  }
  const own = asOwn(template, request);
  if (own === null || isUnanswered(template.api, own)) return null;
  const one = caseOf(template, version, names.join(", "), own);
  if (random.nextBelow(8) > 0 || !mayBeDamaged(template)) return one;
  return damagedCase(one, template.before?.length ?? 0, pick(random, DAMAGES));
}

/**
 * Whether Kafka forgets to answer, whatever else differs; or whether no answer would show that it dropped some of
 * the records, which is listed.
 */
function isUnanswered(api: string, request: JsonObject): boolean {
  if (api === "Produce") return request.acks === 0 && namesPartitionTwice(request);
  const { resources } = request;
  if (api !== "AlterConfigs" || !Array.isArray(resources)) return false;
  const names = (resources as readonly JsonObject[]).map(({ resourceName }) => resourceName ?? "");
  return new Set(names).size < names.length;
}

/** A damaged request may name others than it would: no topics that it then makes, and no broker. */
function mayBeDamaged({ api, changes }: Template): boolean {
  return api !== "Metadata" && api !== "UnregisterBroker" &&
    (changes === undefined || api === "Produce");
}

function sequence(random: Random, apis: ReadonlySet<string> | null): Case | null {
  const families = FAMILIES.filter(({ requests }) => hasApi(requests.flat(), apis));
  if (families.length === 0) return null;
  const { name, opening, requests } = pick(random, families);
  const steps: Step[] = [...opening];
  for (let i = random.nextBelow(SEQUENCE_MAX); i >= 0; i--) {
    const chosen = pick(random, requests);
    if (Array.isArray(chosen)) steps.push(...chosen as Step[]);
    else steps.push(varied(random, chosen as Step));
  }
  return { name, steps };
}

/** One in four requests of a sequence has a field changed, and one in four is in another version. */
function varied(random: Random, one: Step): Step {
  const isOther = random.nextBelow(4) === 0;
  const step = isOther ? { ...one, version: pick(random, versionsOf(one.api)) } : one;
  if (random.nextBelow(4) > 0) return step;
  const changes = [...variations(step.api, step.version, step.request)];
  if (changes.length === 0) return step;
  const change = pick(random, changes);
  const text = JSON.stringify(change.request);
  // Nothing that other cases share may change.
  if (/"(?:idle|live|orders|empty| ?)"|__consumer_offsets|records":null/.test(text)) return step;
  const request = JSON.parse(text) as JsonObject;
  return isUnanswered(step.api, request) ? step : { ...step, request };
}
