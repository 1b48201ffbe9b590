import { strict as assert } from "node:assert";
import { ErrorCode } from "../wire/errors.ts";
import {
  type FeatureUpdate,
  finalizedFeatures,
  raiseVersion,
  supportedFeatures,
  updateFeatures,
  UpgradeType,
} from "./features.ts";
import { ClusterImage } from "./image.ts";
import {
  OWN_VERSIONS,
  TRANSACTIONS_SINCE_VERSION,
  VERSION_FEATURE,
  versionProblem,
} from "./logical_version.ts";
import { registerNode, removeNode } from "./membership.ts";
import { decodeCommand, encodeCommand, type NodeRecord, RecordType } from "./records.ts";
import { TestCluster, testNode } from "./test_cluster.ts";

/** A node of an older program. */
function older(nodeId: number, logicalVersion: number): NodeRecord {
  return { ...testNode(nodeId), logicalVersion };
}

function update(
  on: TestCluster,
  updates: readonly Partial<FeatureUpdate>[],
  validateOnly = false,
): string | null {
  const all = updates.map((one) => ({
    feature: VERSION_FEATURE,
    level: OWN_VERSIONS.max,
    upgradeType: UpgradeType.UPGRADE,
    ...one,
  }));
  const own = { nodeId: 0, versions: OWN_VERSIONS };
  const { error, message } = on.run((command) => updateFeatures(command, all, validateOnly, own));
  assert.equal(error, message === null ? ErrorCode.NONE : ErrorCode.INVALID_UPDATE_VERSION);
  return message;
}

Deno.test("the version rises to what every registered node is able to do, and not before", () => {
  const on = new TestCluster({ nodes: [testNode(0), older(1, 1), older(2, 2)] });
  assert.equal(on.image.logicalVersion, 1, "nothing is finalized");
  on.run(raiseVersion);
  assert.equal(on.image.finalizedVersion, 1);
  on.run((context) => registerNode(context, testNode(1)));
  assert.equal(on.image.logicalVersion, 1);
  on.run(raiseVersion);
  assert.equal(on.image.logicalVersion, 2);
  on.run((context) => removeNode(context, 2));
  on.run(raiseVersion);
  assert.equal(on.image.logicalVersion, OWN_VERSIONS.max);
  const { commands } = on;
  const count = commands.length;
  on.run(raiseVersion);
  assert.equal(commands.length, count, "nothing to say");
});

Deno.test("where the version does not rise by itself, UpdateFeatures raises it", () => {
  const settings = { "gregor.version.auto.upgrade": "false" };
  const on = new TestCluster({ nodes: [testNode(0), older(1, 1)], settings });
  on.run(raiseVersion);
  assert.equal(on.image.finalizedVersion, 1, "the first one is what the cluster works at");
  on.run((context) => registerNode(context, older(1, 2)));
  on.run(raiseVersion);
  assert.equal(on.image.finalizedVersion, 1);
  assert.equal(update(on, [{ level: 2 }], true), null);
  assert.equal(on.image.finalizedVersion, 1, "it was only validated");
  assert.equal(update(on, [{ level: 2 }]), null);
  assert.equal(on.image.finalizedVersion, 2);
  const wanted = `Invalid update version ${OWN_VERSIONS.max} for feature gregor.version.`;
  assert.equal(update(on, [{}]), `${wanted} Broker 1 only supports versions 1-2`);
  on.run((context) => registerNode(context, testNode(1)));
  assert.equal(update(on, [{}]), null);
  assert.equal(on.image.finalizedVersion, OWN_VERSIONS.max);
});

Deno.test("UpdateFeatures refuses, in Kafka's words, what cannot be; all of a request, or nothing", () => {
  const on = new TestCluster();
  on.run(raiseVersion);
  const { max } = OWN_VERSIONS;
  const { SAFE_DOWNGRADE, UNSAFE_DOWNGRADE } = UpgradeType;
  const refused = (wanted: Partial<FeatureUpdate>): string => {
    const message = update(on, [{ level: max }, wanted])!;
    const { feature = VERSION_FEATURE, level = max } = wanted;
    const begin = `Invalid update version ${level} for feature ${feature}. `;
    assert(message.startsWith(begin), message);
    return message.slice(begin.length);
  };
  assert.match(refused({ level: 2 }), /^Can't downgrade the version of this feature without/);
  assert.match(refused({ level: 2, upgradeType: SAFE_DOWNGRADE }), /might delete metadata/);
  assert.match(refused({ level: 2, upgradeType: UNSAFE_DOWNGRADE }), /might delete metadata/);
  assert.equal(refused({ level: max + 1 }), `Local controller 0 only supports versions 1-${max}`);
  assert.equal(refused({ level: -1 }), "A feature version cannot be less than 0.");
  assert.equal(
    refused({ upgradeType: 0 }),
    "The controller does not support the given upgrade type.",
  );
  assert.match(refused({ feature: "nonsense", level: 1 }), /does not support this feature\.$/);
  assert.equal(refused({ feature: "nonsense", level: 0 }), "Feature nonsense not found.");
  assert.match(refused({ feature: "group.version", level: 2 }), /only supports versions 0-1$/);
  assert.equal(update(on, [{ feature: "group.version", level: 1 }]), null);
  assert.equal(update(on, [{ level: max, upgradeType: SAFE_DOWNGRADE }]), null, "it is that");
});

Deno.test("features name what is supported, and what is in force", () => {
  const on = new TestCluster();
  const names = (features: readonly { name: string }[]) => features.map(({ name }) => name).sort();
  assert.deepEqual(names(finalizedFeatures(on.image)), ["metadata.version"]);
  on.run(raiseVersion);
  const finalized = finalizedFeatures(on.image);
  const inForce = ["gregor.version", "group.version", "metadata.version", "transaction.version"];
  assert.deepEqual(names(finalized), inForce);
  for (const { name, min, max } of supportedFeatures(OWN_VERSIONS)) {
    const level = finalized.find((one) => one.name === name)?.level ?? 0;
    assert(level >= min && level <= max, `${name} at ${level}`);
  }
});

Deno.test("transactions of the second kind come with a version of the cluster, and not before", () => {
  const on = new TestCluster({ nodes: [older(0, TRANSACTIONS_SINCE_VERSION - 1)] });
  on.run(raiseVersion);
  const level = (): number =>
    finalizedFeatures(on.image).find(({ name }) => name === "transaction.version")?.level ?? 0;
  assert.equal(level(), 0);
  const refused = update(on, [{ feature: "transaction.version", level: 2 }]);
  assert.match(refused!, /It rises when gregor.version is 4\.$/);
  assert.equal(finalizedFeatures(on.image).some(({ name }) => name === "group.version"), false);
  on.run((context) => registerNode(context, testNode(0)));
  on.run(raiseVersion);
  assert.equal(level(), 2);
  assert.equal(update(on, [{ feature: "transaction.version", level: 2 }]), null);
});

Deno.test("a finalized version never goes back, and survives a snapshot", () => {
  const on = new TestCluster({ nodes: [older(0, 2)] });
  on.run(raiseVersion);
  on.run((context) => registerNode(context, older(1, 1)));
  assert.equal(on.image.logicalVersion, 2, "it does not matter who comes later");
  const copy = new ClusterImage(0, new Map());
  for (const record of on.image.snapshotRecords()) assert.equal(copy.replay(record), null);
  assert.equal(copy.finalizedVersion, 2);
  const back = {
    type: RecordType.FEATURE_LEVEL,
    body: { name: VERSION_FEATURE, level: 1 },
  } as const;
  assert.match(copy.replay(back)!, /goes back/);
  assert.equal(copy.finalizedVersion, 2);
});

Deno.test("a program reads no record that came with a later version", () => {
  const body = { nodeId: 0, state: 1 };
  const bytes = encodeCommand([{ type: RecordType.NODE_STATE, body }]);
  assert(decodeCommand(bytes, 2).ok);
  const older = decodeCommand(bytes, 1);
  assert(!older.ok && older.newer);
});

Deno.test("a program says why it is none of a cluster's", () => {
  assert.equal(versionProblem(0, { min: 1, max: 3 }), null);
  assert.equal(versionProblem(2, { min: 1, max: 2 }), null);
  assert.match(
    versionProblem(3, { min: 1, max: 2 })!,
    /logical version 3 .* at 2 at most: start the newer/,
  );
  assert.match(
    versionProblem(2, { min: 3, max: 4 })!,
    /logical version 2 .* needs 3 at least: start a version in between/,
  );
});
