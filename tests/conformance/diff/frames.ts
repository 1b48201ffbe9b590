/**
 * Frames that are not what they should be: headers, lengths, versions, tagged fields, and bytes that are
 * missing or too many. Clients of every age and quality send such frames, and Kafka reads more of them than
 * one would think.
 *
 * @module
 */

import type { Case, Damage } from "./case.ts";
import { AS_IT_IS, caseOf, type Template, versionsOfTemplate } from "./template.ts";

/** What a length may say instead. */
export const LENGTHS = [-2147483648, -2, -1, 0, 1, 2, 1000, 2147483647];

/** Damages of any frame. */
export const DAMAGES: readonly Damage[] = [
  ...[0, 1, 2, 3].flatMap((length) => LENGTHS.map((says) => ({ length, says }))),
  { cut: 1 },
  { cut: 3 },
  { cut: 8 },
  { extra: "00" },
  { extra: "ff" },
  { extra: "0000000000000000" },
  { tags: "01630100" },
  // A tag twice, tags that do not ascend, a tag whose size is not there, one that is cut.
  { tags: "026301aa6301bb" },
  { tags: "0200006301aa" },
  { tags: "026301aa6201bb" },
  { tags: "016305aa" },
  { tags: "01" },
  { claims: -1 },
  { claims: 99 },
  { claims: 32767 },
  { key: -1 },
  { key: 9999 },
  { key: 32767 },
  { clientId: null },
  { clientId: "" },
  { clientId: "ff" },
  { clientId: "c3a4" },
  { clientId: "00" },
  { clientId: "c0af" },
  { clientId: "78".repeat(300) },
  { headerTags: "016301aa" },
  { headerTags: "026301aa6301bb" },
  { headerTags: "01" },
  { spoil: 1 },
];

const DAMAGED_APIS = new Set([
  "ApiVersions",
  "Fetch",
  "OffsetFetch",
  "OffsetForLeaderEpoch",
  "Produce",
]);

/** The first template of some APIs, in its oldest and its newest version, with every damage. */
export function* damagedCases(
  templates: readonly Template[],
  apis: ReadonlySet<string> | null,
): Generator<Case> {
  for (const api of DAMAGED_APIS) {
    if (apis !== null && !apis.has(api)) continue;
    for (const template of firstTemplates(templates, api)) {
      const versions = versionsOfTemplate(template);
      for (const version of new Set([versions[0]!, versions.at(-1)!])) {
        const one = caseOf(template, version, AS_IT_IS, template.request);
        for (const damage of DAMAGES) yield damagedCase(one, template.before?.length ?? 0, damage);
      }
    }
  }
}

/** Those that together have all versions of an API. */
function firstTemplates(templates: readonly Template[], api: string): Template[] {
  const ofApi = templates.filter((template) => template.api === api);
  const first = ofApi[0]!;
  const rest = ofApi.find(({ from }) => from !== undefined && from > (first.to ?? 99));
  return rest === undefined ? [first] : [first, rest];
}

/** The same with a step whose frame is not what it should be. */
export function damagedCase(one: Case, at: number, damage: Damage): Case {
  const steps = one.steps.with(at, { ...one.steps[at]!, damage });
  return { name: `${one.name}, damaged: ${JSON.stringify(damage)}`, steps };
}
