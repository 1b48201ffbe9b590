/**
 * A simulated node under attack, and the client beside it that must not notice.
 *
 * Hostile frames go in volleys: each on a connection of its own, all at once, while the healthy client
 * produces and fetches. A volley ends when every hostile client has hung up and every connection is
 * gone. What is checked then is in {@linkcode HostileNode.finish}: memory back at its level, nothing
 * fatal, nothing lost.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { Cursor } from "../../../src/bytes/cursor.ts";
import type { Api } from "../../../src/wire/api.ts";
import { API_VERSIONS, CREATE_TOPICS, FETCH, PRODUCE } from "../../../src/wire/generated/apis.ts";
import {
  newFetchPartition,
  newFetchRequest,
  newFetchTopic,
} from "../../../src/wire/generated/fetch_request.ts";
import { responseHeaderVersion } from "../../../src/wire/header.ts";
import type { ClientEnd } from "../../sim/memory_sockets.ts";
import { SimClient } from "../../sim/sim_client.ts";
import { SimNode } from "../../sim/sim_node.ts";
import { produceRequest, SMALL_BATCH, topicRequest } from "../../sim/sim_requests.ts";

/** Steps in which a healthy request must be answered. */
const PROMPT_STEPS = 4_000;
/** Steps that an attacked node gets to answer what it will answer. */
const SETTLE_STEPS = 400;
/** Steps that every volley gets, so that what is not complete is at least received. */
const INCOMPLETE_STEPS = 20;
const HEALTHY_TOPIC = "healthy";
const RECORDS_PER_BATCH = 3;

/** One hostile connection of a volley. */
export interface Shot {
  readonly frame: Uint8Array;
  /** How the bytes are cut: all at once, or in pieces of this size. */
  readonly pieceSize?: number;
  /** The client sends this much of the frame and stops. */
  readonly sentBytes?: number;
  /** The client never takes a response. */
  readonly deaf?: boolean;
  /** The API and version to decode an answer with; null when there must be none. */
  readonly api: Api<unknown, unknown> | null;
  readonly version: number;
}

export class HostileNode {
  readonly node: SimNode;
  #healthy: SimClient;
  #produced = 0;
  /** Frames sent; connections closed by the broker; answers that decoded. */
  frames = 0;
  closed = 0;
  answered = 0;
  /** Neither: a long poll, a group that waits, an acks=0 produce, or a frame that was not complete. */
  open = 0;

  constructor(seed: number, shards: number) {
    this.node = new SimNode({
      seed,
      settings: {
        "max.partitions.per.node": "300",
        "connections.max.idle.ms": "30000",
        "max.incremental.fetch.session.cache.slots": "64",
      },
    });
    assert(this.node.mount(shards));
    this.#healthy = new SimClient(this.node.connect(shards - 1));
    const request = topicRequest(HEALTHY_TOPIC, 2);
    const configs = [["max.message.bytes", "1000000"], ["min.insync.replicas", "1"], [
      "retention.ms",
      "-1",
    ]];
    request.topics[0]!.configs = configs.map(([name, value]) => ({ name: name!, value: value! }));
    let created = -1;
    this.#healthy.send(CREATE_TOPICS, 7, request, (response) => {
      created = response.topics[0]!.errorCode;
    });
    this.#await(() => created >= 0, "the healthy topic");
    assert.equal(created, 0);
    this.healthy();
  }

  /** Makes a topic for the hostile clients to name. */
  createTopic(name: string, partitions: number): string {
    let id: string | null = null;
    this.#healthy.send(CREATE_TOPICS, 7, topicRequest(name, partitions), (response) => {
      id = response.topics[0]!.topicId;
    });
    this.#await(() => id !== null, "a topic");
    return id!;
  }

  /** Sends all shots at once; returns when every connection of theirs is gone. */
  volley(shots: readonly Shot[]): void {
    const { node } = this;
    const ends = shots.map((shot, index) => {
      const end = node.connect(index % node.shards.length);
      end.stalled = shot.deaf === true;
      const bytes = shot.frame.subarray(0, shot.sentBytes ?? shot.frame.length);
      const size = shot.pieceSize ?? Math.max(1, bytes.length);
      for (let at = 0; at < bytes.length; at += size) end.send(bytes.subarray(at, at + size));
      return end;
    });
    this.frames += shots.length;
    for (let i = 0; i < INCOMPLETE_STEPS; i++) node.step();
    node.run(
      () => shots.every((shot, i) => ends[i]!.closed || isSettled(ends[i]!, shot)),
      SETTLE_STEPS,
    );
    shots.forEach((shot, i) => this.#judge(shot, ends[i]!));
    for (const end of ends) end.ended = true;
    const gone = node.run(() => ends.every((end) => end.closed), PROMPT_STEPS);
    if (!gone) {
      const left = shots.filter((_shot, i) => !ends[i]!.closed).map(describe);
      assert.fail(`connections stay open although their clients are gone: ${left.join(", ")}`);
    }
  }

  /** Produces and fetches as if nothing were the matter. */
  healthy(): void {
    const client = this.#healthy;
    const partition = this.#produced % 2;
    let offset = -1;
    client.send(PRODUCE, 9, produceRequest(HEALTHY_TOPIC, partition, SMALL_BATCH), (response) => {
      const part = response.responses[0]!.partitionResponses[0]!;
      assert.equal(part.errorCode, 0, "a healthy produce failed");
      offset = part.baseOffset;
    });
    this.#await(() => offset >= 0, "a healthy produce");
    assert.equal(offset, Math.floor(this.#produced / 2) * RECORDS_PER_BATCH);
    this.#produced++;
    let fetched = -1;
    const asked = newFetchPartition({ partition, fetchOffset: offset, partitionMaxBytes: 100_000 });
    const topic = newFetchTopic({ topic: HEALTHY_TOPIC, partitions: [asked] });
    const request = newFetchRequest({ maxWaitMs: 10, minBytes: 1, topics: [topic] });
    client.send(FETCH, 12, request, (response) => {
      const part = response.responses[0]!.partitions[0]!;
      assert.equal(part.errorCode, 0, "a healthy fetch failed");
      fetched = part.records!.length;
    });
    this.#await(() => fetched >= 0, "a healthy fetch");
    assert.equal(fetched, SMALL_BATCH.length);
  }

  /** After the last volley: everything is given back, nothing fatal was met, the log is not flooded. */
  finish(): void {
    const { node } = this;
    this.healthy();
    // Groups expire, sessions of hostile members end.
    for (let i = 0; i < 40; i++) {
      if (i % 8 === 0) this.healthy();
      node.jump(1000);
      node.pass(2);
    }
    this.healthy();
    node.pass(50);
    assert.deepEqual(node.fatals, []);
    assert.deepEqual(node.damages, []);
    for (const { shard, blocks, sockets } of node.shards) {
      const where = `shard ${shard.options.mailboxes.shard}`;
      assert.equal(blocks.smallFrames.used, 0, `${where}: small frames`);
      assert.equal(blocks.largeFrames.used, 0, `${where}: large frames`);
      assert.equal(blocks.responses.used, 0, `${where}: responses`);
      assert.equal(blocks.waitingCount, 0, `${where}: waiting for memory`);
      assert.equal(sockets.freeBuffers, sockets.bufferCount, `${where}: receive buffers`);
    }
    assert(node.stop(), "the node does not stop");
  }

  /** The node still answers ApiVersions on a fresh connection to every shard. */
  greet(): void {
    for (let shard = 0; shard < this.node.shards.length; shard++) {
      const client = new SimClient(this.node.connect(shard));
      let answered = false;
      const request = { clientSoftwareName: "a", clientSoftwareVersion: "1" };
      client.send(API_VERSIONS, 3, { ...request, clusterId: null, nodeId: -1 }, () => {
        answered = true;
      });
      assert(this.node.run(() => (client.poll(), answered), PROMPT_STEPS));
      client.end.ended = true;
      assert(this.node.run(() => client.end.closed, PROMPT_STEPS));
    }
  }

  #judge(shot: Shot, end: ClientEnd): void {
    if (end.closed) this.closed++;
    const bytes = end.take();
    if (bytes.length === 0) {
      if (!end.closed) this.#judgeSilence(shot);
      return;
    }
    assert(shot.api !== null, `an answer to what is no request: ${describe(shot)}`);
    const size = new DataView(bytes.buffer).getInt32(0, false);
    assert(size === bytes.length - 4, `not one whole answer to ${describe(shot)}`);
    const { api } = shot;
    const cursor = Cursor.of(bytes.subarray(4));
    assert.equal(
      cursor.int32(),
      new DataView(shot.frame.buffer, shot.frame.byteOffset).getInt32(8),
    );
    let version = shot.version;
    // KIP-511: a version that is not known is answered in v0.
    if (api === API_VERSIONS && (version < 0 || version > API_VERSIONS.maxVersion)) version = 0;
    if (responseHeaderVersion(api, version) === 1) cursor.skipTags();
    api.decodeResponse(cursor, version);
    assert(cursor.atEnd(), `an answer that does not decode to ${describe(shot)}`);
    this.answered++;
  }

  #judgeSilence(shot: Shot): void {
    this.open++;
    const whole = shot.sentBytes === undefined && shot.api !== null;
    if (!whole || shot.deaf) return;
    const mayWait = ["Fetch", "JoinGroup", "SyncGroup"].includes(shot.api.name) ||
      shot.api === PRODUCE;
    assert(mayWait, `neither an answer nor a closed connection: ${describe(shot)}`);
  }

  #await(done: () => boolean, what: string): void {
    const client = this.#healthy;
    const came = this.node.run(() => (client.poll(), done()), PROMPT_STEPS);
    assert(came, `${what} was not answered in time`);
  }
}

/** Answered, or nothing is to be expected. */
function isSettled(end: ClientEnd, shot: Shot): boolean {
  return shot.deaf === true || shot.sentBytes !== undefined || hasAnswer(end);
}

/** The server sends in pieces of any size. */
function hasAnswer(end: ClientEnd): boolean {
  const bytes = end.take();
  if (bytes.length === 0) return false;
  end.fromServer.push(bytes);
  return bytes.length >= 4 && bytes.length >= 4 + new DataView(bytes.buffer).getInt32(0, false);
}

function describe(shot: Shot): string {
  const hex = shot.frame.subarray(0, 300).toHex();
  return `${shot.api?.name ?? "?"} v${shot.version} ${hex} (${shot.frame.length} bytes)`;
}
