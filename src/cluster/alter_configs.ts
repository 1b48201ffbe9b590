/**
 * Changing configurations: one value at a time (IncrementalAlterConfigs), or a resource's whole set
 * (AlterConfigs, deprecated by Kafka but still sent).
 *
 * Each resource of a request succeeds or fails alone, and as a whole. The resulting set is checked in
 * full, so that values that contradict each other are refused too. A value that does not change makes
 * no record.
 *
 * @module
 */

import { assert } from "../base/assert.ts";
import { splitList } from "../base/setting.ts";
import { ErrorCode } from "../wire/errors.ts";
import { type CommandContext, type Outcome, refuse, SUCCESS, tooLarge } from "./command.ts";
import { ALL_BROKERS, noConfigsOf, ResourceType } from "./config_table.ts";
import { CONSUMER_GROUPS_SINCE_VERSION } from "./logical_version.ts";
import { configSchemaOf } from "./config_schema.ts";
import { RecordType } from "./records.ts";
import { topicNameProblem } from "./topic_names.ts";

/** Kafka's operations of IncrementalAlterConfigs. */
export const ConfigOperation = { SET: 0, DELETE: 1, APPEND: 2, SUBTRACT: 3 } as const;

export interface ConfigResource {
  readonly resourceType: number;
  readonly resourceName: string;
}

export interface ConfigChange {
  readonly name: string;
  /** One of {@linkcode ConfigOperation}. */
  readonly operation: number;
  readonly value: string | null;
}

export interface IncrementalChange extends ConfigResource {
  readonly changes: readonly ConfigChange[];
}

export interface Replacement extends ConfigResource {
  readonly configs: readonly { readonly name: string; readonly value: string | null }[];
}

export interface AlterConfigsResult extends Outcome, ConfigResource {}

/** Applies `resources`' changes on top of what is set. */
export function alterConfigs(
  context: CommandContext,
  resources: readonly IncrementalChange[],
  validateOnly: boolean,
): AlterConfigsResult[] {
  return eachResource(resources, (resource) => {
    const values = resource.changes.filter(({ operation }) => operation !== ConfigOperation.DELETE);
    const problem = shapeProblem(resource.changes, values) ?? resourceProblem(context, resource);
    if (problem !== null) return problem;
    const current = context.image.configs.get(resource.resourceType, resource.resourceName);
    const wanted = new Map(current);
    for (const change of resource.changes) {
      const changeProblem = applyChange(context, resource, change, wanted);
      if (changeProblem !== null) return changeProblem;
    }
    return install(context, resource, wanted, validateOnly);
  });
}

/** Sets exactly what `resources` say: what they do not name is removed. */
export function replaceConfigs(
  context: CommandContext,
  resources: readonly Replacement[],
  validateOnly: boolean,
): AlterConfigsResult[] {
  return eachResource(resources, (resource) => {
    const { configs } = resource;
    const problem = shapeProblem(configs, configs) ?? resourceProblem(context, resource);
    if (problem !== null) return problem;
    const wanted = new Map(configs.map(({ name, value }) => [name, value!]));
    return install(context, resource, wanted, validateOnly);
  });
}

function eachResource<Resource extends ConfigResource>(
  resources: readonly Resource[],
  alter: (resource: Resource) => Outcome,
): AlterConfigsResult[] {
  const keyOf = (resource: Resource) => `${resource.resourceType}/${resource.resourceName}`;
  const counts = new Map<string, number>();
  for (const resource of resources) {
    counts.set(keyOf(resource), (counts.get(keyOf(resource)) ?? 0) + 1);
  }
  const results: AlterConfigsResult[] = [];
  for (const resource of resources) {
    const count = counts.get(keyOf(resource))!;
    const { resourceType, resourceName } = resource;
    let outcome: Outcome;
    if (count > 1) {
      outcome = refuse(ErrorCode.INVALID_REQUEST, "Each resource must appear at most once.");
    } else {
      outcome = alter(resource);
    }
    results.push({ ...outcome, resourceType, resourceName });
  }
  return results;
}

/** What is wrong with a list of configs whatever they are: one named twice, or `values` that are missing. */
function shapeProblem(
  configs: readonly { readonly name: string }[],
  values: readonly { readonly name: string; readonly value: string | null }[],
): Outcome | null {
  if (new Set(configs.map(({ name }) => name)).size < configs.length) {
    return refuse(ErrorCode.INVALID_REQUEST, "Error due to duplicate config keys");
  }
  const missing = values.find(({ value }) => value === null);
  if (missing === undefined) return null;
  return refuse(ErrorCode.INVALID_REQUEST, `Null value not supported for : ${missing.name}`);
}

/** Why there can be no such topic; null for others, and for resources that are not topics. */
function topicProblem({ resourceType, resourceName }: ConfigResource): Outcome | null {
  if (resourceType !== ResourceType.TOPIC) return null;
  if (resourceName === "") {
    return refuse(ErrorCode.INVALID_REQUEST, "Default topic resources are not allowed.");
  }
  const problem = topicNameProblem(resourceName);
  return problem === null ? null : refuse(ErrorCode.INVALID_TOPIC_EXCEPTION, problem);
}

/** Whether there is the topic: Kafka looks at the values first. */
function existenceProblem(context: CommandContext, resource: ConfigResource): Outcome | null {
  const { resourceType, resourceName } = resource;
  if (resourceType !== ResourceType.TOPIC) return null;
  if (context.image.topicByName(resourceName) !== undefined) return null;
  const message = `The topic '${resourceName}' does not exist.`;
  return refuse(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, message);
}

/** Why this resource has no configuration to change; null when it has, or where it is a topic. */
function resourceProblem(context: CommandContext, resource: ConfigResource): Outcome | null {
  const { resourceType, resourceName } = resource;
  switch (resourceType) {
    case ResourceType.TOPIC:
      return null;
    case ResourceType.BROKER: {
      if (resourceName === ALL_BROKERS) return null;
      if (!/^[+-]?[0-9]{1,10}$/.test(resourceName)) {
        const message = `Node id must be an integer, but it is: ${resourceName}`;
        return refuse(ErrorCode.INVALID_REQUEST, message);
      }
      if (context.image.nodes.has(Number(resourceName))) return null;
      const message = `Unexpected broker id, expected ${context.image.nodeId}, but received ${
        Number(resourceName)
      }`;
      return refuse(ErrorCode.INVALID_REQUEST, message);
    }
    case ResourceType.GROUP:
      if (resourceName === "") {
        return refuse(ErrorCode.INVALID_REQUEST, "Default group resources are not allowed.");
      }
      // A node of an older program has no room for them.
      if (context.image.logicalVersion >= CONSUMER_GROUPS_SINCE_VERSION) return null;
      return refuse(ErrorCode.INVALID_REQUEST, noConfigsOf(resourceType));
    default:
      return refuse(ErrorCode.INVALID_REQUEST, noConfigsOf(resourceType));
  }
}

function applyChange(
  context: CommandContext,
  resource: ConfigResource,
  change: ConfigChange,
  wanted: Map<string, string>,
): Outcome | null {
  const { name, operation, value } = change;
  if (operation === ConfigOperation.DELETE) {
    wanted.delete(name);
    return null;
  }
  assert(value !== null, "a list of changes was checked for missing values");
  if (operation === ConfigOperation.SET) {
    wanted.set(name, value);
    return null;
  }
  if (operation !== ConfigOperation.APPEND && operation !== ConfigOperation.SUBTRACT) {
    return refuse(ErrorCode.INVALID_REQUEST, `there is no operation ${operation} on '${name}'`);
  }
  const schema = configSchemaOf(resource.resourceType);
  if (!schema.isList(name)) {
    const verb = operation === ConfigOperation.APPEND ? "APPEND" : "SUBTRACT";
    if (resource.resourceType === ResourceType.BROKER) {
      const message = `Config value ${verb.toLowerCase()} is not allowed for config key: ${name}`;
      return refuse(ErrorCode.INVALID_CONFIG, message);
    }
    const message = `Can't ${verb} to key ${name} because its type is not LIST.`;
    return refuse(ErrorCode.INVALID_CONFIG, message);
  }
  if (operation === ConfigOperation.APPEND && value.trim() === "" && !schema.takesEmpty(name)) {
    return refuse(ErrorCode.INVALID_CONFIG, `Configuration '${name}' values must not be empty.`);
  }
  const set = wanted.get(name);
  const items = set === undefined ? schema.defaultElements(name, context.image) : splitList(set);
  for (const item of splitList(value)) {
    const at = items.indexOf(item);
    if (operation === ConfigOperation.APPEND && at < 0) items.push(item);
    else if (operation === ConfigOperation.SUBTRACT && at >= 0) items.splice(at, 1);
  }
  wanted.set(name, items.join(","));
  return null;
}

function install(
  context: CommandContext,
  resource: ConfigResource,
  wanted: ReadonlyMap<string, string>,
  validateOnly: boolean,
): Outcome {
  const { resourceType, resourceName } = resource;
  const current = context.image.configs.get(resourceType, resourceName);
  const changed = new Map<string, string | null>();
  for (const [name, value] of wanted) {
    if (current.get(name) !== value.trim()) changed.set(name, value);
  }
  for (const name of current.keys()) if (!wanted.has(name)) changed.set(name, null);
  const problem = topicProblem(resource) ??
    configSchemaOf(resourceType).problem(wanted, changed, context.image) ??
    existenceProblem(context, resource);
  if (problem !== null) return problem;
  if (validateOnly) return SUCCESS;
  const records = [...changed].map(([name, value]) => ({
    type: RecordType.CONFIG,
    body: { resourceType, resourceName, name, value: value === null ? null : value.trim() },
  }));
  return context.emit(records) ? SUCCESS : tooLarge();
}
