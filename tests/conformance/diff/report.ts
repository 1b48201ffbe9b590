/**
 * What is found, as people read it: differences, and what was asked at all.
 *
 * @module
 */

import { API_NAMES, versionsOf } from "./apis.ts";
import { type Case, formatCase, type Step } from "./case.ts";
import type { News } from "./hunt.ts";

/** A difference with the case that shows it, and how to see it again. */
export function describeNews({ found, difference, count }: News, smallest: Case = found): string {
  const { step, path, kafka, gregor } = difference;
  return [
    `${step.api} v${step.version} ${path} (${count} cases; first in "${found.name}")`,
    `  Kafka   ${JSON.stringify(kafka)}`,
    `  Gregor  ${JSON.stringify(gregor)}`,
    formatCase(smallest),
    `  deno task diff --replay '${JSON.stringify(smallest.steps)}'`,
    "",
  ].join("\n");
}

const BRIEF_CHARACTERS_MAX = 160;

/** The same in one line. */
export function describeBriefly({ found, difference, count }: News): string {
  const { step, path, kafka, gregor } = difference;
  const [one, other] = [kafka, gregor].map((value) => {
    return JSON.stringify(value).slice(0, BRIEF_CHARACTERS_MAX);
  });
  return `${count}x ${step.api} ${path}  K ${one}  G ${other}  (${found.name})`;
}

/** How often each API is asked, in which versions, and how many different requests that are. */
export function coverageTable(cases: Iterable<Case>): string {
  const asked = new Map<string, Asked>();
  for (const { steps } of cases) for (const one of steps) note(asked, one);
  const rows = API_NAMES.toSorted().map((api) => {
    const all = versionsOf(api);
    const { count, requests, versions, damages } = asked.get(api) ?? NEVER;
    const missing = all.filter((version) => !versions.has(version));
    return [
      api,
      `${all[0]}-${all.at(-1)}`,
      missing.length === 0 ? "all" : `not ${missing.join(" ")}`,
      `${count}`,
      `${requests.size}`,
      `${damages}`,
    ];
  });
  return [["API", "versions", "asked", "requests", "different", "damaged"], ...rows]
    .map((cells) => cells.map((cell, at) => cell.padEnd(at === 0 ? 30 : 14)).join("").trimEnd())
    .join("\n");
}

interface Asked {
  count: number;
  damages: number;
  readonly requests: Set<string>;
  readonly versions: Set<number>;
}

const NEVER: Asked = { count: 0, damages: 0, requests: new Set(), versions: new Set() };

function note(asked: Map<string, Asked>, { api, version, request, damage }: Step): void {
  let one = asked.get(api);
  if (one === undefined) {
    one = { count: 0, damages: 0, requests: new Set(), versions: new Set() };
    asked.set(api, one);
  }
  one.count++;
  if (damage !== undefined) one.damages++;
  one.requests.add(JSON.stringify(request));
  one.versions.add(version);
}
