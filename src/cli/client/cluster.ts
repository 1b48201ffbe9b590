/**
 * A cluster as client commands see it: any of its brokers, one by number, the leader of a partition,
 * the coordinator of a group or of a transactional id.
 *
 * Metadata of the cluster is fetched when it is first needed, and again after a broker reports that it is
 * stale. Everything is bounded by the command's `--timeout`.
 *
 * @module
 */

import { ErrorCode, errorInfo } from "../../wire/errors.ts";
import { FIND_COORDINATOR, METADATA } from "../../wire/generated/apis.ts";
import { newFindCoordinatorRequest } from "../../wire/generated/find_coordinator_request.ts";
import {
  newMetadataRequest,
  newMetadataRequestTopic,
} from "../../wire/generated/metadata_request.ts";
import type { MetadataResponse } from "../../wire/generated/metadata_response.ts";
import { nearest } from "../../base/nearest.ts";
import { EXIT_FAILED, EXIT_UNREACHABLE } from "../exit_codes.ts";
import { Failure } from "../failure.ts";
import { type Address, formatAddress } from "../flags.ts";
import { Connection, ConnectionFailure, UnsupportedApi } from "./connection.ts";
import { BrokerRefusal, brokerRefusal } from "./outcome.ts";
import { pause } from "../pause.ts";

const RETRY_PAUSE_MS = 100;
/** What a coordinator may be asked for, by the protocol's numbers. */
export const CoordinatorOf = { GROUP: 0, TRANSACTION: 1 } as const;
export type CoordinatorOf = typeof CoordinatorOf[keyof typeof CoordinatorOf];
/** The last version of Metadata in which every field here has its plain meaning. */
const METADATA_VERSION_MAX = 12;
/** The first version that names coordinators in a list. */
const FIND_COORDINATOR_LIST = 4;

export interface PartitionPlace {
  readonly partition: number;
  /** Node id, -1 when there is none at the moment. */
  readonly leader: number;
  readonly leaderEpoch: number;
  readonly replicas: readonly number[];
  readonly inSync: readonly number[];
  readonly offline: readonly number[];
}

export interface TopicPlace {
  readonly name: string;
  readonly topicId: string;
  readonly isInternal: boolean;
  readonly errorCode: number;
  /** By partition number, ascending. */
  readonly partitions: readonly PartitionPlace[];
}

export interface BrokerPlace {
  readonly nodeId: number;
  readonly address: Address;
  readonly rack: string | null;
}

export interface ClusterPlaces {
  readonly clusterId: string | null;
  readonly controllerId: number;
  readonly brokers: readonly BrokerPlace[];
  readonly topics: readonly TopicPlace[];
}

export class Cluster {
  readonly timeoutMs: number;
  readonly #clientId: string;
  /** The given addresses of the cluster. */
  readonly #addresses: readonly Address[];
  #bootstrap: Connection;
  readonly #byAddress = new Map<string, Connection>();
  #brokers = new Map<number, BrokerPlace>();
  #controllerId = -1;

  private constructor(
    addresses: readonly Address[],
    bootstrap: Connection,
    timeoutMs: number,
    clientId: string,
  ) {
    this.#addresses = addresses;
    this.#bootstrap = bootstrap;
    this.timeoutMs = timeoutMs;
    this.#clientId = clientId;
    this.#byAddress.set(formatAddress(bootstrap.address), bootstrap);
  }

  /**
   * Connects to the first of `addresses` that answers.
   *
   * @throws Failure (69) that says why none did
   */
  static async connect(
    addresses: readonly Address[],
    options: { readonly timeoutMs: number; readonly clientId?: string },
  ): Promise<Cluster> {
    const { timeoutMs, clientId = "gregor-cli" } = options;
    const reasons: string[] = [];
    for (const address of addresses) {
      try {
        const connection = await Connection.open(address, { timeoutMs, clientId });
        return new Cluster(addresses, connection, timeoutMs, clientId);
      } catch (error) {
        if (!(error instanceof ConnectionFailure)) throw error;
        reasons.push(`${formatAddress(address)} because ${error.reason}`);
      }
    }
    throw new Failure(
      EXIT_UNREACHABLE,
      `cluster unreachable at ${reasons.join("; at ")}`,
      "Is a broker running? Its `ready kafka=HOST:PORT` line is what --brokers (or GREGOR_BROKERS) " +
        "wants; `gregor start --mode dev` runs one here.",
    );
  }

  /** Any broker: the one that was reached first. */
  get any(): Connection {
    return this.#bootstrap;
  }

  close(): void {
    for (const connection of this.#byAddress.values()) connection.close();
  }

  /** Metadata of some topics, or of all (null). */
  async places(
    topics: readonly string[] | null,
    options: { readonly createMissing?: boolean } = {},
  ): Promise<ClusterPlaces> {
    const request = newMetadataRequest({
      topics: topics === null ? null : topics.map((name) => newMetadataRequestTopic({ name })),
      allowAutoTopicCreation: options.createMissing === true,
    });
    const response = await this.guard(
      this.#bootstrap.call(METADATA, request, { maxVersion: METADATA_VERSION_MAX }),
    );
    const places = readPlaces(response);
    this.#controllerId = places.controllerId;
    this.#brokers = new Map(places.brokers.map((broker) => [broker.nodeId, broker]));
    return places;
  }

  /** A connection to the node, by the address that it advertises. */
  async node(nodeId: number): Promise<Connection> {
    if (!this.#brokers.has(nodeId)) await this.places([]);
    const broker = this.#brokers.get(nodeId);
    if (broker === undefined) {
      throw new Failure(
        EXIT_UNREACHABLE,
        `node ${nodeId} is not part of the cluster at the moment`,
      );
    }
    return await this.#connectionTo(broker.address, `node ${nodeId}`);
  }

  /** A further connection to the node, for callers that want several; closed with the cluster. */
  async extraConnection(nodeId: number): Promise<Connection> {
    const shared = await this.node(nodeId);
    const connection = await this.guard(
      Connection.open(shared.address, { timeoutMs: this.timeoutMs, clientId: this.#clientId }),
    );
    this.#byAddress.set(`${formatAddress(shared.address)}#${this.#byAddress.size}`, connection);
    return connection;
  }

  /** The node that changes metadata; any other one forwards. */
  async controller(): Promise<Connection> {
    if (this.#controllerId < 0) await this.places([]);
    return this.#controllerId < 0 ? this.#bootstrap : await this.node(this.#controllerId);
  }

  /**
   * Calls the controller; again while the node that was asked turns out to be none, as after a change of leaders.
   *
   * @param errorsOf the error codes of a response: it is final unless all of them are NOT_CONTROLLER
   */
  async callController<T>(
    call: (controller: Connection) => Promise<T>,
    errorsOf: (response: T) => readonly number[],
  ): Promise<T> {
    const deadline = performance.now() + this.timeoutMs;
    for (;;) {
      const response = await call(await this.controller());
      const errors = errorsOf(response);
      const again = errors.length > 0 &&
        errors.every((errorCode) => errorCode === ErrorCode.NOT_CONTROLLER);
      if (!again || performance.now() + RETRY_PAUSE_MS > deadline) return response;
      this.#controllerId = -1;
      await pause(RETRY_PAUSE_MS);
    }
  }

  /** The node that a group or a transactional id belongs to; waits while its coordinator is being created or loaded. */
  async coordinator(
    key: string,
    keyType: CoordinatorOf = CoordinatorOf.GROUP,
  ): Promise<{ readonly nodeId: number; connection: Connection }> {
    return await this.retrying(async () => {
      const version = this.#bootstrap.versionOf(FIND_COORDINATOR);
      const listed = version >= FIND_COORDINATOR_LIST;
      const response = await this.#bootstrap.call(
        FIND_COORDINATOR,
        newFindCoordinatorRequest(
          listed ? { keyType, coordinatorKeys: [key] } : { keyType, key },
        ),
      );
      const found = listed ? response.coordinators[0]! : response;
      if (found.errorCode !== 0) {
        throw brokerRefusal(
          `find the coordinator of ${key}`,
          found.errorCode,
          found.errorMessage,
        );
      }
      const address = { host: found.host, port: found.port };
      const connection = await this.#connectionTo(address, `node ${found.nodeId}`);
      return { nodeId: found.nodeId, connection };
    });
  }

  /**
   * Runs `attempt` until it succeeds, fails for good, or `--timeout` has passed. That a topic is
   * unknown counts as final, however retriable the protocol calls it, unless it is being made.
   */
  async retrying<T>(
    attempt: () => Promise<T>,
    options: { readonly retryUnknown?: boolean } = {},
  ): Promise<T> {
    const deadline = performance.now() + this.timeoutMs;
    for (;;) {
      try {
        return await this.guard(attempt());
      } catch (error) {
        const again = error instanceof BrokerRefusal && errorInfo(error.errorCode).retriable &&
          (options.retryUnknown === true || !isUnknown(error.errorCode));
        if (!again || performance.now() + RETRY_PAUSE_MS > deadline) throw error;
        await pause(RETRY_PAUSE_MS);
      }
    }
  }

  /**
   * Splits `items` by the node that leads each partition; waits while one has no leader.
   *
   * @throws Failure where a topic or partition does not exist
   */
  async byLeader<T extends { readonly topic: string; readonly partition: number }>(
    items: readonly T[],
  ): Promise<Map<number, T[]>> {
    const names = [...new Set(items.map((item) => item.topic))];
    return await this.retrying(async () => {
      const { topics } = await this.places(names);
      const result = new Map<number, T[]>();
      for (const item of items) {
        const topic = topics.find((one) => one.name === item.topic);
        const place = topic?.partitions.find((one) => one.partition === item.partition);
        const what = `find the leader of ${item.topic}/${item.partition}`;
        if (place === undefined) {
          const code = topic?.errorCode ?? 0;
          throw brokerRefusal(what, code === 0 ? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION : code);
        }
        if (place.leader < 0) throw brokerRefusal(what, ErrorCode.LEADER_NOT_AVAILABLE);
        const list = result.get(place.leader);
        if (list === undefined) result.set(place.leader, [item]);
        else list.push(item);
      }
      return result;
    });
  }

  /**
   * A topic that must exist: a misspelt name is answered with the nearest one, and creates no topic.
   *
   * @throws Failure with the nearest name there is
   */
  async existingTopic(name: string): Promise<TopicPlace> {
    try {
      return await this.topic(name);
    } catch (error) {
      if (!(error instanceof BrokerRefusal) || !isUnknown(error.errorCode)) throw error;
      const names = (await this.places(null)).topics.map((topic) => topic.name);
      const guess = nearest(name, names);
      const nearestText = guess === null ? "" : `; nearest is ${guess}`;
      throw new Failure(EXIT_FAILED, `there is no topic ${name}${nearestText}`, error.hint);
    }
  }

  /** One topic with its partitions; waits for its creation where `createMissing` asks for that. */
  async topic(
    name: string,
    options: { readonly createMissing?: boolean } = {},
  ): Promise<TopicPlace> {
    const find = async (): Promise<TopicPlace> => {
      const topic = (await this.places([name], options)).topics[0];
      const code = topic?.errorCode ?? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION;
      if (topic === undefined || code !== 0) throw brokerRefusal(`find topic ${name}`, code);
      return topic;
    };
    return await this.retrying(find, { retryUnknown: options.createMissing === true });
  }

  /**
   * Runs `work` until it succeeds, over new connections where one was lost: a broker that is started again
   * costs its clients a moment. Fails as `work` did where none was made within `--timeout`.
   *
   * @param onLost called once, with what was lost and why
   */
  async surviving<T>(work: () => Promise<T>, onLost: (what: string) => void): Promise<T> {
    let deadlineMs = Infinity;
    for (;;) {
      try {
        return await work();
      } catch (error) {
        const lost = lostConnection(error);
        const nowMs = performance.now();
        if (lost === null || nowMs > deadlineMs) throw error;
        if (deadlineMs === Infinity) {
          deadlineMs = nowMs + this.timeoutMs;
          onLost(`lost the broker at ${lost.message}`);
        }
        await pause(RETRY_PAUSE_MS);
        await this.#reopen();
      }
    }
  }

  /** Makes the first connection again, to any known broker of the cluster. */
  async #reopen(): Promise<void> {
    if (this.#bootstrap.isOpen) return;
    const known = [...this.#brokers.values()].map(({ address }) => address);
    for (const address of [...this.#addresses, ...known]) {
      try {
        const options = { timeoutMs: this.timeoutMs, clientId: this.#clientId };
        this.#bootstrap = await Connection.open(address, options);
        this.#byAddress.set(formatAddress(address), this.#bootstrap);
        return;
      } catch (error) {
        // The next attempt of `work` says so.
        if (!(error instanceof ConnectionFailure)) throw error;
      }
    }
  }

  /** Turns errors of connections into messages for people. */
  async guard<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      if (error instanceof ConnectionFailure) {
        throw new Failure(
          EXIT_UNREACHABLE,
          `lost the broker at ${formatAddress(error.address)}: ${error.reason}`,
          "If it is only slow, give it longer with --timeout.",
          error,
        );
      }
      if (error instanceof UnsupportedApi) {
        throw new Failure(
          EXIT_UNREACHABLE,
          error.message,
          "Its version is too old for this command.",
        );
      }
      throw error;
    }
  }

  async #connectionTo(address: Address, who: string): Promise<Connection> {
    const key = formatAddress(address);
    const known = this.#byAddress.get(key);
    if (known?.isOpen === true) return known;
    try {
      const connection = await Connection.open(address, {
        timeoutMs: this.timeoutMs,
        clientId: this.#clientId,
      });
      this.#byAddress.set(key, connection);
      return connection;
    } catch (error) {
      if (!(error instanceof ConnectionFailure)) throw error;
      throw new Failure(
        EXIT_UNREACHABLE,
        `${who} says that it is at ${key}, which cannot be reached from here: ${error.reason}`,
        "Its --advertised-kafka-addr must be an address that clients can connect to.",
        error,
      );
    }
  }
}

/** The failed connection of an error; null for other errors. */
function lostConnection(error: unknown): ConnectionFailure | null {
  const cause = error instanceof Failure ? error.cause : error;
  return cause instanceof ConnectionFailure ? cause : null;
}

function isUnknown(errorCode: number): boolean {
  return errorCode === ErrorCode.UNKNOWN_TOPIC_OR_PARTITION ||
    errorCode === ErrorCode.UNKNOWN_TOPIC_ID;
}

function readPlaces(response: MetadataResponse): ClusterPlaces {
  return {
    clusterId: response.clusterId,
    controllerId: response.controllerId,
    brokers: response.brokers
      .map((broker) => ({
        nodeId: broker.nodeId,
        address: { host: broker.host, port: broker.port },
        rack: broker.rack,
      }))
      .sort((a, b) => a.nodeId - b.nodeId),
    topics: response.topics
      .map((topic) => ({
        name: topic.name ?? "",
        topicId: topic.topicId,
        isInternal: topic.isInternal,
        errorCode: topic.errorCode,
        partitions: topic.partitions
          .map((one) => ({
            partition: one.partitionIndex,
            leader: one.leaderId,
            leaderEpoch: one.leaderEpoch,
            replicas: one.replicaNodes,
            inSync: one.isrNodes,
            offline: one.offlineReplicas,
          }))
          .sort((a, b) => a.partition - b.partition),
      }))
      .sort((a, b) => (a.name < b.name ? -1 : 1)),
  };
}
