/**
 * The cases that are the same in every run: what the conformance suite checks.
 *
 * @module
 */

import type { Case } from "./case.ts";
import { configCases } from "./config_cases.ts";
import { damagedCases } from "./frames.ts";
import { sequenceCases } from "./sequences.ts";
import { caseOf, casesOf, versionsOfTemplate } from "./template.ts";
import { TEMPLATES } from "./templates.ts";

/**
 * Every template in every version; its variations in the highest, or in all.
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
    for (const version of versions) {
      const isLast = version === versions.at(-1);
      if (everyVersion || (isLast && !template.isAlike)) {
        yield* casesOf(template, version);
      } else if (isLast || !template.isAlike || version === versions[0]) {
        yield caseOf(template, version, "as it is", template.request);
      }
    }
  }
  yield* sequenceCases(apis);
  yield* damagedCases(TEMPLATES, apis);
  yield* configCases(apis, everyVersion);
}
