/**
 * Log lines for what a request of an administrator changed: topics created, altered and deleted,
 * partitions added, records deleted, groups deleted. Taken from the request and its answer, so that a refused
 * change is no event.
 *
 * @module
 */

import type { LogFields } from "../base/logger.ts";
import {
  ALTER_CONFIGS,
  CREATE_PARTITIONS,
  CREATE_TOPICS,
  DELETE_GROUPS,
  DELETE_RECORDS,
  DELETE_TOPICS,
  INCREMENTAL_ALTER_CONFIGS,
} from "../wire/generated/apis.ts";
import type { Api } from "../wire/api.ts";
import { ErrorCode } from "../wire/errors.ts";
import { uuidToBase64, ZERO_UUID } from "../wire/uuid.ts";
import { ResourceType } from "../cluster/config_table.ts";

/** One thing that was done. */
export interface AdminEvent {
  /** One of a few constants. */
  readonly message: string;
  readonly fields: LogFields;
}

type Describe = (request: unknown, response: unknown) => AdminEvent[];

/** Settings named in one line; their values may be secrets and are left out. */
const SETTINGS_NAMED_MAX = 10;

const DESCRIBERS = new Map<number, Describe>();

function describe<Request, Response>(
  api: Api<Request, Response>,
  by: (request: Request, response: Response) => AdminEvent[],
): void {
  DESCRIBERS.set(api.key, by as Describe);
}

/** The changes of a request; empty for requests without changes, and for refused ones. */
export function adminEvents(apiKey: number, request: unknown, response: unknown): AdminEvent[] {
  return DESCRIBERS.get(apiKey)?.(request, response) ?? [];
}

describe(CREATE_TOPICS, (request, { topics }) => {
  if (request.validateOnly) return [];
  return topics.filter(isDone).map(({ name, topicId, numPartitions }) => ({
    message: "Topic created",
    fields: { topic: name, ...idOf(topicId), partitions: numPartitions },
  }));
});

describe(
  DELETE_TOPICS,
  (_request, { responses }) =>
    responses.filter(isDone).map(({ name, topicId }) => ({
      message: "Topic deleted",
      fields: { topic: name ?? "", ...idOf(topicId) },
    })),
);

describe(CREATE_PARTITIONS, (request, { results }) => {
  if (request.validateOnly) return [];
  const counts = new Map(request.topics.map(({ name, count }) => [name, count]));
  return results.filter(isDone).map(({ name }) => ({
    message: "Partitions added",
    fields: { topic: name, partitions: counts.get(name) ?? 0 },
  }));
});

describe(
  INCREMENTAL_ALTER_CONFIGS,
  (request, { responses }) => request.validateOnly ? [] : altered(request.resources, responses),
);

describe(
  ALTER_CONFIGS,
  (request, { responses }) => request.validateOnly ? [] : altered(request.resources, responses),
);

describe(DELETE_RECORDS, (_request, { topics }) =>
  topics.flatMap(({ name, partitions }) => {
    const done = partitions.filter(isDone);
    const [first] = done;
    if (first === undefined) return [];
    const fields = done.length === 1
      ? { partition: `${name}-${first.partitionIndex}`, newStart: first.lowWatermark }
      : { topic: name, partitions: done.length };
    return [{ message: "Records deleted", fields }];
  }));

describe(DELETE_GROUPS, (_request, { results }) =>
  results.filter(isDone).map(({ groupId }) => ({
    message: "Group deleted",
    fields: { group: groupId },
  })));

interface Resource {
  readonly resourceType: number;
  readonly resourceName: string;
}

function altered(
  asked: readonly (Resource & { readonly configs: readonly { readonly name: string }[] })[],
  answers: readonly (Resource & { readonly errorCode: number })[],
): AdminEvent[] {
  return answers.filter(isDone).map(({ resourceType, resourceName }) => {
    const configs = asked.find((one) =>
      one.resourceType === resourceType && one.resourceName === resourceName
    )?.configs ?? [];
    const names = configs.slice(0, SETTINGS_NAMED_MAX).map(({ name }) => name).join(",");
    const more = configs.length > SETTINGS_NAMED_MAX ? ",..." : "";
    return resourceType === ResourceType.TOPIC
      ? { message: "Topic altered", fields: { topic: resourceName, settings: names + more } }
      : {
        message: "Broker settings altered",
        fields: { node: resourceName === "" ? "all" : resourceName, settings: names + more },
      };
  });
}

function isDone({ errorCode }: { readonly errorCode: number }): boolean {
  return errorCode === ErrorCode.NONE;
}

/** As Kafka's tools show it. */
function idOf(topicId: string): { id?: string } {
  return topicId === ZERO_UUID ? {} : { id: uuidToBase64(topicId) };
}
