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
  /** It is asked as it is, in every version; its variations are left to seeds. */
  readonly isPlain?: true;
  /** The template makes sense in these versions only. */
  readonly from?: number;
  readonly to?: number;
}

/** The name of a case whose request is the template's own. */
export const AS_IT_IS = "as it is";

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
  yield caseOf(template, version, AS_IT_IS, request);
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
/** There are no members of the group without a name, though there may be offsets. */
const MEMBERS_APIS = new Set(["JoinGroup", "SyncGroup", "LeaveGroup"]);
const SHARED_GROUPS = /"(?:idle|live| ?)"/;

/** A request that touches the case's own alone; null where it would touch what every case uses. */
export function asOwn({ api, changes }: Template, request: JsonObject): JsonObject | null {
  const text = JSON.stringify(request);
  if (changes === undefined) return request;
  if (changes === "nothing") return request.validateOnly === true ? request : null;
  if (changes === "groups") {
    if (request.groupId === "" && MEMBERS_APIS.has(api)) return request;
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
      { api, version, request },
      ...(after ?? []).map((step) => ({ ...step, settles: true })),
    ],
  };
}
