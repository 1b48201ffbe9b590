/**
 * Features of the cluster, as Kafka's tools see them (KIP-584): what each node supports, and what is in force everywhere.
 *
 * Only {@linkcode VERSION_FEATURE} ever changes. It rises by itself, unless `gregor.version.auto.upgrade` is off, when all
 * nodes are able to do what comes next; and it never goes back, because the metadata may hold what older programs cannot read.
 * Features of Kafka have one level here, which is part of the program; that of transactions comes with a version of the cluster.
 *
 * @module
 */

import { ErrorCode } from "../wire/errors.ts";
import { type CommandContext, type Outcome, refuse, SUCCESS } from "./command.ts";
import type { ClusterImage } from "./image.ts";
import {
  CONSUMER_GROUPS_SINCE_VERSION,
  TRANSACTIONS_SINCE_VERSION,
  VERSION_FEATURE,
  type VersionRange,
} from "./logical_version.ts";
import { type NodeRecord, RecordType } from "./records.ts";

/** A feature, and levels of it, both included. */
export interface FeatureRange extends VersionRange {
  readonly name: string;
}

/** What clients know as a metadata version: of the release whose protocol is spoken, 4.3. */
const METADATA_VERSION = 30;

/** Groups whose coordinator assigns (KIP-848). */
const GROUP_VERSION = 1;

/** Transactions in which producers' epochs rise each time, and partitions are added as they are written to (KIP-890). */
const TRANSACTION_VERSION = 2;

/** A feature of Kafka, and the logical version of a cluster that has its highest level; before, it has the lowest. */
interface KafkaFeature extends FeatureRange {
  readonly since: number;
}

/** Kafka's features. Level 0 is the protocol before the feature. */
const KAFKA_FEATURES: readonly KafkaFeature[] = [
  { name: "group.version", min: 0, max: GROUP_VERSION, since: CONSUMER_GROUPS_SINCE_VERSION },
  { name: "metadata.version", min: METADATA_VERSION, max: METADATA_VERSION, since: 0 },
  {
    name: "transaction.version",
    min: 0,
    max: TRANSACTION_VERSION,
    since: TRANSACTIONS_SINCE_VERSION,
  },
];

/** How a feature's level may be changed; the numbers are Kafka's. */
export const UpgradeType = { UPGRADE: 1, SAFE_DOWNGRADE: 2, UNSAFE_DOWNGRADE: 3 } as const;

/** A level that somebody wants for a feature. */
export interface FeatureUpdate {
  readonly feature: string;
  readonly level: number;
  /** {@linkcode UpgradeType}, or what a client sent instead. */
  readonly upgradeType: number;
}

/** What a node supports, by name. */
export function supportedFeatures(versions: VersionRange): FeatureRange[] {
  const ofKafka = KAFKA_FEATURES.map(({ name, min, max }) => ({ name, min, max }));
  return [{ name: VERSION_FEATURE, ...versions }, ...ofKafka];
}

/** What is in force in the cluster: features at a level above 0. */
export function finalizedFeatures(image: ClusterImage): { name: string; level: number }[] {
  const levels = new Map(image.features);
  for (const { name } of KAFKA_FEATURES) {
    const level = levelOf(image, name);
    if (level > 0) levels.set(name, level);
  }
  return [...levels].map(([name, level]) => ({ name, level }));
}

/** The highest version that all registered nodes are able to do; 0: there are none. */
function commonVersion({ nodes }: ClusterImage): number {
  const versions = [...nodes.values()].map(({ logicalVersion }) => logicalVersion);
  return versions.length === 0 ? 0 : Math.min(...versions);
}

/** Whether the cluster's version may rise now. */
export function isVersionToRise(image: ClusterImage): boolean {
  const { finalizedVersion, settings } = image;
  // The first one says at what the cluster works anyway: without it, a node that comes later would take it back.
  const isWanted = finalizedVersion === 0 || settings.boolean("gregor.version.auto.upgrade");
  return commonVersion(image) > finalizedVersion && isWanted;
}

/**
 * Finalizes the version that all nodes are able to do, if it is higher. Whoever founded the cluster must be registered by
 * then: one of an older program would be refused.
 */
export function raiseVersion({ image, emit }: CommandContext): void {
  if (!isVersionToRise(image)) return;
  emit([levelRecord(VERSION_FEATURE, commonVersion(image))]);
}

/**
 * UpdateFeatures: all of them, or none.
 *
 * @param own the controller, and what it supports
 */
export function updateFeatures(
  { image, emit }: CommandContext,
  updates: readonly FeatureUpdate[],
  validateOnly: boolean,
  own: { readonly nodeId: number; readonly versions: VersionRange },
): Outcome {
  for (const update of updates) {
    const problem = updateProblem(image, update, own);
    if (problem === null) continue;
    const { feature, level } = update;
    const message = `Invalid update version ${level} for feature ${feature}. ${problem}`;
    return refuse(ErrorCode.INVALID_UPDATE_VERSION, message);
  }
  if (validateOnly) return SUCCESS;
  const records = updates
    .filter(({ feature, level }) => levelOf(image, feature) !== level)
    .map(({ feature, level }) => levelRecord(feature, level));
  if (records.length > 0) emit(records);
  return SUCCESS;
}

/** Why a feature cannot have that level, in Kafka's words; null: it can. */
function updateProblem(
  image: ClusterImage,
  { feature, level, upgradeType }: FeatureUpdate,
  { nodeId, versions }: { readonly nodeId: number; readonly versions: VersionRange },
): string | null {
  if (!Object.values<number>(UpgradeType).includes(upgradeType)) {
    return "The controller does not support the given upgrade type.";
  }
  if (level < 0) return "A feature version cannot be less than 0.";
  const range = supportedFeatures(versions).find(({ name }) => name === feature);
  if (range === undefined && level === 0) return `Feature ${feature} not found.`;
  const unsupported = rangeProblem(`Local controller ${nodeId}`, range, level) ??
    nodesProblem(image, feature, level);
  if (unsupported !== null) return unsupported;
  const now = levelOf(image, feature);
  const isUpgrade = upgradeType === UpgradeType.UPGRADE;
  if (level > now && !isUpgrade) return "Can't downgrade to a newer version.";
  const kafka = KAFKA_FEATURES.find(({ name }) => name === feature);
  if (kafka !== undefined && level > now) {
    return `It rises when ${VERSION_FEATURE} is ${kafka.since}.`;
  }
  if (level >= now) return null;
  return isUpgrade
    ? "Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe downgrade."
    : "Refusing to perform the requested downgrade because it might delete metadata information.";
}

function rangeProblem(who: string, range: VersionRange | undefined, level: number): string | null {
  if (range === undefined) return `${who} does not support this feature.`;
  const { min, max } = range;
  return level >= min && level <= max ? null : `${who} only supports versions ${min}-${max}`;
}

function nodesProblem({ nodes }: ClusterImage, feature: string, level: number): string | null {
  if (feature !== VERSION_FEATURE) return null;
  for (const node of nodes.values()) {
    const problem = rangeProblem(`Broker ${node.nodeId}`, versionsOf(node), level);
    if (problem !== null) return problem;
  }
  return null;
}

/** At which versions a node is able to work. */
export function versionsOf({ logicalVersion, logicalVersionMin }: NodeRecord): VersionRange {
  return { min: logicalVersionMin, max: logicalVersion };
}

function levelOf(image: ClusterImage, feature: string): number {
  const kafka = KAFKA_FEATURES.find(({ name }) => name === feature);
  if (kafka !== undefined) return image.finalizedVersion >= kafka.since ? kafka.max : kafka.min;
  return image.features.get(feature) ?? 0;
}

function levelRecord(name: string, level: number) {
  return { type: RecordType.FEATURE_LEVEL, body: { name, level } };
}
