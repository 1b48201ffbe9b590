/**
 * A template: a request that makes sense, with what has to happen before it and what shows its effect.
 * Cases are made of it by changing the request's fields one at a time (`mutate.ts`).
 *
 * @module
 */

import { versionsOf } from "./apis.ts";
import type { Case, JsonObject, Step } from "./case.ts";
import { variations } from "./mutate.ts";

export interface Template {
  readonly api: string;
  /** What is asked first. */
  readonly before?: readonly Step[];
  readonly request: JsonObject;
  /**
   * It changes topics or groups: only the case's own, `$ct` or `$cg`, and never the broker's. Nothing: it
   * would change what all share, and says that it only validates.
   */
  readonly changes?: "topics" | "groups" | "nothing";
  /** What shows whether it had an effect. */
  readonly after?: readonly Step[];
  /** Others have the same fields: its variations are left to seeds. */
  readonly isAlike?: true;
  /** The template makes sense in these versions only. */
  readonly from?: number;
  readonly to?: number;
}

/** The versions of a template that both brokers serve. */
export function versionsOfTemplate({ api, from, to }: Template): number[] {
  return versionsOf(api).filter((version) => version >= (from ?? 0) && version <= (to ?? 99));
}

/** Whether Kafka answers a variation at all. */
export function isAnswered({ api }: Template, name: string): boolean {
  return !NEVER_ANSWERED.test(`${api} ${name}`);
}

/** The template as it is, and each of its variations, in one version. */
export function* casesOf(template: Template, version: number): Generator<Case> {
  const { api, request } = template;
  yield caseOf(template, version, "as it is", request);
  for (const { name, request: changed } of variations(api, version, request)) {
    if (!isAnswered(template, name)) continue;
    const own = asOwn(template, changed);
    if (own !== null) yield caseOf(template, version, name, own);
  }
}

/** Kafka forgets to answer these (`known.ts`, `NOT_COMPARED`), and each would be waited for. */
const NEVER_ANSWERED =
  /^AlterConfigs resources (?:twice|and .*(?:configs|[nN]ame="(?:orders|\$ct)"|=\[\]))|^Produce .*records=null|^JoinGroup protocols (?:twice|and (?!.*name=))/;

const SHARED_TOPICS = /"empty"|%id:empty%|"__consumer_offsets"/;
const SHARED_GROUPS = /"(?:idle|live| ?)"/;

/** A request that touches the case's own alone; null where it would touch what every case uses. */
export function asOwn({ changes }: Template, request: JsonObject): JsonObject | null {
  const text = JSON.stringify(request);
  if (changes === undefined) return request;
  if (changes === "nothing") return request.validateOnly === true ? request : null;
  if (changes === "groups") {
    return SHARED_GROUPS.test(JSON.stringify(groupIdsIn(request))) ? null : request;
  }
  if (SHARED_TOPICS.test(text)) return null;
  return JSON.parse(text.replaceAll('"orders"', '"$ct"').replaceAll(":orders", ":$ct"));
}

function groupIdsIn({ groupId, groupsNames, groups }: JsonObject): JsonObject {
  return { groupId: groupId ?? null, groupsNames: groupsNames ?? null, groups: groups ?? null };
}

export function caseOf(
  { api, before, after }: Template,
  version: number,
  name: string,
  request: JsonObject,
): Case {
  return {
    name: `${api} v${version}: ${name}`,
    steps: [
      ...before ?? [],
      { api, version, request: withOwnEpochs(request) },
      ...(after ?? []).map((step) => ({ ...step, settles: true })),
    ],
  };
}

/** Epochs that are tried are those of the fixture's topic, or of the case's own where it has one. */
function withOwnEpochs(request: JsonObject): JsonObject {
  const text = JSON.stringify(request);
  if (!text.includes('"$ct"')) return request;
  return JSON.parse(text.replaceAll("%epoch:orders", "%epoch:$ct")) as JsonObject;
}
