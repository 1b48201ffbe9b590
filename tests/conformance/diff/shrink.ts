/**
 * Makes a case smaller as long as it still shows what it showed: fewer requests, fewer elements, fewer
 * fields away from their defaults.
 *
 * @module
 */

import type { Case, Json, JsonObject, Step } from "./case.ts";

const TRIES_MAX = 80;

export async function shrink(
  found: Case,
  stillShows: (smaller: Case) => Promise<boolean>,
): Promise<Case> {
  let smallest = found;
  let tries = 0;
  for (let changed = true; changed && tries < TRIES_MAX;) {
    changed = false;
    for (const steps of smaller(smallest.steps)) {
      if (tries++ >= TRIES_MAX) break;
      const candidate = { ...smallest, steps };
      if (!await stillShows(candidate)) continue;
      smallest = candidate;
      changed = true;
      break;
    }
  }
  return smallest;
}

/** What a value of bytes is made of: without it there is no value. */
const BYTES = new Set(["text", "hex", "batches", "records", "subscription"]);

/** Every list of steps that is one simplification away. */
function* smaller(steps: readonly Step[]): Generator<Step[]> {
  for (let i = steps.length - 1; i >= 0; i--) {
    if (!isReferred(steps, i)) yield renumbered(steps.toSpliced(i, 1), i);
  }
  for (const [i, step] of steps.entries()) {
    for (const request of smallerObjects(step.request)) {
      yield steps.with(i, { ...step, request });
    }
  }
}

function isReferred(steps: readonly Step[], index: number): boolean {
  return steps.some(({ request, awaits }) => {
    return awaits?.includes(index) || JSON.stringify(request).includes(`%${index}:`);
  });
}

/** Corrects placeholders that refer to steps after a removed one. */
function renumbered(steps: readonly Step[], removed: number): Step[] {
  return steps.map((step) => {
    const text = JSON.stringify(step.request).replace(/%(\d+):/g, (whole, digits: string) => {
      const index = Number(digits);
      return index > removed ? `%${index - 1}:` : whole;
    });
    const request = JSON.parse(text) as JsonObject;
    if (step.awaits === undefined) return { ...step, request };
    return { ...step, request, awaits: step.awaits.map((one) => one > removed ? one - 1 : one) };
  });
}

function* smallerObjects(object: JsonObject): Generator<JsonObject> {
  for (const key of Object.keys(object)) {
    const { [key]: value, ...rest } = object;
    if (!BYTES.has(key)) yield rest;
    for (const less of smallerValues(value!)) yield { ...object, [key]: less };
  }
}

function* smallerValues(value: Json): Generator<Json> {
  if (Array.isArray(value)) {
    const elements = value as readonly Json[];
    for (let i = 0; i < elements.length; i++) yield elements.toSpliced(i, 1);
    for (const [i, element] of elements.entries()) {
      for (const less of smallerValues(element)) yield elements.with(i, less);
    }
  } else if (typeof value === "object" && value !== null) {
    yield* smallerObjects(value as JsonObject);
  }
}
