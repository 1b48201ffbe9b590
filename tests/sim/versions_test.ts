/**
 * Simulated clusters of different programs: they do nothing that one of them could not follow, go on together when all can,
 * and take no older one from then on.
 */

import { strict as assert } from "node:assert";
import { OWN_VERSIONS } from "../../src/cluster/logical_version.ts";
import { ErrorCode } from "../../src/wire/errors.ts";
import {
  ALTER_PARTITION_REASSIGNMENTS,
  API_VERSIONS,
  UNREGISTER_BROKER,
  UPDATE_FEATURES,
} from "../../src/wire/generated/apis.ts";
import { newApiVersionsRequest } from "../../src/wire/generated/api_versions_request.ts";
import { newUpdateFeaturesRequest } from "../../src/wire/generated/update_features_request.ts";
import { ClusterBench } from "./cluster_bench.ts";

const { max: NEWEST } = OWN_VERSIONS;
const OLD = { min: 1, max: 1 };

/** What a node says of the cluster's version: the finalized level of `gregor.version`, 0 for none, and the epoch. */
function versionAt(bench: ClusterBench, nodeId: number): string {
  const request = newApiVersionsRequest({ clientSoftwareName: "t", clientSoftwareVersion: "1" });
  const { finalizedFeatures, finalizedFeaturesEpoch } = bench.ask(nodeId, API_VERSIONS, 4, request);
  const found = finalizedFeatures.find(({ name }) => name === "gregor.version");
  return `${found?.maxVersionLevel ?? 0} at ${finalizedFeaturesEpoch}`;
}

function isAt(bench: ClusterBench, nodes: readonly number[], version: number): boolean {
  return nodes.every((nodeId) => versionAt(bench, nodeId) === `${version} at ${version}`);
}

function move(bench: ClusterBench, topic: string, replicas: number[]): ErrorCode {
  const answer = bench.ask(1, ALTER_PARTITION_REASSIGNMENTS, 0, {
    timeoutMs: 1_000,
    allowReplicationFactorChange: true,
    topics: [{ name: topic, partitions: [{ partitionIndex: 0, replicas }] }],
  });
  return (answer.responses[0]?.partitions[0]?.errorCode ?? answer.errorCode) as ErrorCode;
}

function update(bench: ClusterBench, nodeId: number, maxVersionLevel: number) {
  const featureUpdates = [{
    feature: "gregor.version",
    maxVersionLevel,
    allowDowngrade: false,
    upgradeType: 1,
  }];
  const request = newUpdateFeaturesRequest({ featureUpdates });
  return bench.ask(nodeId, UPDATE_FEATURES, 1, request);
}

Deno.test("a cluster with one older node does nothing new, until that is a newer one; then no older one starts", () => {
  const bench = new ClusterBench(11);
  const [, , third] = bench.cluster.nodes;
  third!.versions = OLD;
  bench.start(1, 2, 1);
  bench.until(() => isAt(bench, [0, 1, 2], 1), "the version of the oldest");
  assert.equal(bench.create(0, "t", 2, 1).errorCode, ErrorCode.NONE);
  bench.settled("t", [0, 1, 2]);
  assert.equal(move(bench, "t", [0]), ErrorCode.UNSUPPORTED_VERSION);
  const { errorCode, errorMessage } = update(bench, 0, NEWEST);
  assert.equal(errorCode, ErrorCode.INVALID_UPDATE_VERSION);
  assert.match(errorMessage!, /Broker 2 only supports versions 1-1/);
  bench.cluster.rest(6_000);
  assert(isAt(bench, [0, 1, 2], 1));

  third!.crash();
  third!.versions = OWN_VERSIONS;
  bench.join(2);
  bench.until(() => isAt(bench, [0, 1, 2], NEWEST), "the newest version");
  assert.equal(move(bench, "t", [0]), ErrorCode.NONE);

  third!.crash();
  third!.versions = { min: 1, max: NEWEST - 1 };
  third!.begin(1);
  bench.until(() => third!.refusal !== null, "a refusal");
  assert.match(
    third!.refusal!,
    new RegExp(
      `^newer: .*works at logical version ${NEWEST} \\(gregor.version\\), and this program is able to work at ` +
        `${NEWEST - 1} at most: start the newer`,
    ),
  );
  third!.crash();
  third!.versions = OWN_VERSIONS;
  bench.join(2);
  bench.settled("t", [0, 1, 2]);
});

Deno.test("an older node cannot join; one that was registered and is forgotten holds nobody up, and must end", () => {
  const bench = new ClusterBench(12, 5, {}, 3);
  const [, , , fourth, fifth] = bench.cluster.nodes;
  bench.start(1, 1, 1);
  bench.until(() => isAt(bench, [0, 1, 2], NEWEST), "the newest version");
  fourth!.versions = { min: 1, max: NEWEST - 1 };
  fourth!.begin(1);
  bench.until(() => fourth!.refusal !== null, "a refusal");
  assert.match(
    fourth!.refusal!,
    new RegExp(`^cluster: the cluster works at logical version ${NEWEST}`),
  );
  fifth!.versions = { min: NEWEST + 1, max: NEWEST + 1 };
  fifth!.begin(1);
  bench.until(() => fifth!.refusal !== null, "a refusal");
  assert.match(
    fifth!.refusal!,
    new RegExp(`this program needs ${NEWEST + 1} at least: start a version in between`),
  );
});

Deno.test("a version rises when somebody asks for it, where it does not by itself, or when who was in the way is forgotten", () => {
  const bench = new ClusterBench(13, 4, { "gregor.version.auto.upgrade": "false" }, 3);
  const { nodes } = bench.cluster;
  nodes[2]!.versions = { min: 1, max: NEWEST - 1 };
  bench.start(1, 1, 1);
  // The first one is what the cluster works at.
  bench.until(() => isAt(bench, [0, 1, 2], NEWEST - 1), "the version of the oldest");
  nodes[2]!.crash();
  nodes[2]!.versions = OWN_VERSIONS;
  bench.join(2);
  nodes[3]!.versions = { min: 1, max: NEWEST - 1 };
  bench.join(3);
  bench.until(() => bench.metadata(0).brokers.length === 4, "the fourth node");
  bench.cluster.rest(6_000);
  assert(isAt(bench, [0, 1, 2, 3], NEWEST - 1));
  assert.equal(update(bench, 1, NEWEST).errorCode, ErrorCode.INVALID_UPDATE_VERSION);
  assert.equal(bench.ask(0, UNREGISTER_BROKER, 0, { brokerId: 3 }).errorCode, ErrorCode.NONE);
  assert.equal(update(bench, 1, NEWEST).errorCode, ErrorCode.NONE);
  bench.until(() => isAt(bench, [0, 1, 2], NEWEST), "the newest version");
  // It ends when it hears of that, or is refused when it starts the next time.
  bench.cluster.rest(3_000);
  nodes[3]!.crash();
  nodes[3]!.fatals.length = 0;
  nodes[3]!.begin(1);
  bench.until(() => nodes[3]!.refusal !== null, "a refusal");
  assert.match(nodes[3]!.refusal!, new RegExp(`works at logical version ${NEWEST}`));
});
