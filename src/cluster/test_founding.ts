/**
 * Nodes that find each other: their disks, and a network whose messages the test delivers, loses, doubles and reorders.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { Xoshiro128 } from "../base/prng.ts";
import {
  Founding,
  type FoundingState,
  HELLO_INTERVAL_MS,
  type RpcAddress,
  UNFORMED,
} from "./founding.ts";
import { decodeHello, encodeHello } from "./hello.ts";
import { newUuid } from "./ids.ts";

export interface Message {
  readonly to: string;
  readonly bytes: Uint8Array;
}

/** A place where a node may run: its disk, and the process, if there is one. */
export interface Place {
  readonly address: RpcAddress;
  nodeId: number;
  incarnation: string;
  run: number;
  state: FoundingState;
  process: Process | null;
}

export interface Process {
  readonly founding: Founding;
  pending: FoundingState | null;
  formed: FoundingState | null;
  refused: string;
  warnings: string[];
  expulsions: string[];
}

export const SEED_PORTS = [1, 2, 3];

/** Nodes, their disks, and a network whose messages the test delivers, loses, doubles and reorders. */
export class World {
  readonly random: Xoshiro128;
  readonly places = new Map<string, Place>();
  messages: Message[] = [];
  nowMs = 0;
  seeds: RpcAddress[] = SEED_PORTS.map((port) => ({ host: "h", port }));

  constructor(seed = 1) {
    this.random = new Xoshiro128(seed);
  }

  place(port: number, nodeId = port): Place {
    const key = `h:${port}`;
    let place = this.places.get(key);
    if (place === undefined) {
      const address = { host: "h", port };
      const incarnation = newUuid(this.random);
      place = { address, nodeId, incarnation, run: 0, state: UNFORMED, process: null };
      this.places.set(key, place);
    }
    return place;
  }

  start(place: Place, seeds: readonly RpcAddress[] = this.seeds): Process {
    const process: Process = {
      founding: new Founding({
        nodeId: place.nodeId,
        incarnation: place.incarnation,
        process: this.random.nextUint32(),
        run: ++place.run,
        address: place.address,
        seeds,
        state: place.state,
        random: this.random,
        effects: {
          send: ({ host, port }, hello) =>
            this.messages.push({ to: `${host}:${port}`, bytes: encodeHello(hello) }),
          save: (state) => process.pending = state,
          formed: (state) => {
            assert(process.formed === null && process.refused === "");
            process.formed = state;
          },
          refuse: (reason) => {
            assert(process.formed === null && process.refused === "");
            process.refused = reason;
          },
          warn: (problem) => process.warnings.push(problem),
          expel: (reason) => process.expulsions.push(reason),
        },
      }),
      pending: null,
      formed: null,
      expulsions: [],
      refused: "",
      warnings: [],
    };
    place.process = process;
    process.founding.start(this.nowMs);
    return process;
  }

  /** @param saves whether a write that is under way reaches the disk */
  kill(place: Place, saves: boolean): void {
    const pending = place.process?.pending ?? null;
    if (pending !== null && saves) place.state = pending;
    place.process = null;
  }

  wipe(place: Place): void {
    place.process = null;
    place.incarnation = newUuid(this.random);
    place.state = UNFORMED;
    place.run = 0;
  }

  save(place: Place): void {
    const { process } = place;
    if (process === null || process.pending === null) return;
    place.state = process.pending;
    process.pending = null;
    process.founding.saved();
  }

  deliver(at: number, again = false): void {
    const message = this.messages[at];
    if (message === undefined) return;
    if (!again) this.messages.splice(at, 1);
    const hello = decodeHello(message.bytes);
    assert(hello !== null, "the codec reads what it wrote");
    this.places.get(message.to)?.process?.founding.received(hello, this.nowMs);
  }

  /**
   * Everything works for a while.
   *
   * @param isApart of a port: nothing reaches it
   */
  settle(rounds = 40, isApart: (port: number) => boolean = () => false): void {
    for (let round = 0; round < rounds; round++) {
      this.nowMs += HELLO_INTERVAL_MS;
      for (const place of this.places.values()) {
        place.process?.founding.tick(this.nowMs);
        this.save(place);
      }
      const isLost = ({ to }: Message): boolean => isApart(this.places.get(to)?.address.port ?? -1);
      this.messages = this.messages.filter((message) => !isLost(message));
      for (let left = this.messages.length; left > 0; left--) this.deliver(0);
      for (const place of this.places.values()) this.save(place);
    }
  }

  get clusterIds(): Set<string> {
    const ids = [...this.places.values()].map(({ state }) => state.clusterId);
    return new Set(ids.filter((id) => id !== ""));
  }
}

export function started(world: World, ...ports: number[]): Process[] {
  return ports.map((port) => world.start(world.place(port)));
}
