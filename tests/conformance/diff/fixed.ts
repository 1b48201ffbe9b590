/**
 * The cases that are the same in every run: what the conformance suite checks.
 *
 * @module
 */

import type { Case } from "./case.ts";
import { configCases } from "./config_cases.ts";
import { damagedCases } from "./frames.ts";
import { sequenceCases } from "./sequences.ts";
import { AS_IT_IS, caseOf, casesOf, type Template, versionsOfTemplate } from "./template.ts";
import { TEMPLATES } from "./templates.ts";

/** The template, and those of its variations that no version so far had. */
function* casesOfOwn(template: Template, version: number, known: Set<string>): Generator<Case> {
  for (const one of casesOf(template, version)) {
    const variation = one.name.slice(one.name.indexOf(":"));
    if (known.has(variation) && !variation.endsWith(AS_IT_IS)) continue;
    known.add(variation);
    yield one;
  }
}

/**
 * Every template in every version; each of its variations in the highest that has it, or in all.
 *
 * @param apis only these; all when null
 */
export function* fixedCases(
  apis: ReadonlySet<string> | null,
  everyVersion = false,
): Generator<Case> {
  for (const template of TEMPLATES) {
    if (apis !== null && !apis.has(template.api)) continue;
    const versions = versionsOfTemplate(template);
    const known = new Set<string>();
    for (const version of versions.toReversed()) {
      if (everyVersion) yield* casesOf(template, version);
      else if (template.isPlain) yield caseOf(template, version, AS_IT_IS, template.request);
      else if (!template.isAlike) yield* casesOfOwn(template, version, known);
      else if (version === versions[0] || version === versions.at(-1)) {
        yield caseOf(template, version, AS_IT_IS, template.request);
      }
    }
  }
  yield* sequenceCases(apis);
  yield* damagedCases(TEMPLATES, apis);
  yield* configCases(apis, everyVersion);
}
