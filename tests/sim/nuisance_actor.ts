/**
 * Simulated clients that disturb others: they announce frames and stall, leave long polls open, send requests
 * after polls, and take no answers. They need not be answered; the others must be.
 *
 * @module
 */

import { FETCH, METADATA } from "../../src/wire/generated/apis.ts";
import {
  newFetchPartition,
  newFetchRequest,
  newFetchTopic,
} from "../../src/wire/generated/fetch_request.ts";
import { newMetadataRequest } from "../../src/wire/generated/metadata_request.ts";
import { Actor } from "./actor.ts";

const FETCH_VERSION = 12;
const METADATA_VERSION = 12;
/** A poll with later requests (ms): until it ends nothing shows that its client is gone. */
export const POLL_BEHIND_MS = 15_000;
const POLL_LEFT_MS = 100_000;

type Mood = "announces" | "leaves" | "crowds" | "deaf";
const MOODS: readonly Mood[] = ["announces", "leaves", "crowds", "deaf"];

export class NuisanceActor extends Actor {
  #mood: Mood | null = null;
  #untilMs = 0;

  /** Nobody waits for it: it goes on until it is hung up. */
  override get idle(): boolean {
    return true;
  }

  override hangUp(): void {
    const { end } = this;
    if (end !== null) end.gone = true;
    super.hangUp();
  }

  protected override act(): void {
    const { nowMs } = this.stage.cluster;
    if (this.#mood === null) this.#begin(nowMs);
    else if (nowMs > this.#untilMs) this.hangUp();
    else if (this.#mood === "deaf" && this.chance(5)) this.#askMuch();
  }

  protected override forget(): void {
    this.#mood = null;
  }

  #begin(nowMs: number): void {
    this.#mood = this.pick(MOODS);
    this.#untilMs = nowMs + this.pick([5, 50, 5_000]);
    switch (this.#mood) {
      case "announces":
        return this.#announce();
      case "leaves":
        return this.#poll(POLL_LEFT_MS);
      case "crowds":
        this.#poll(POLL_BEHIND_MS);
        for (let i = 1 + this.random.nextBelow(20); i > 0; i--) this.#askMetadata();
        return;
      case "deaf":
        this.end!.stalled = true;
        this.#askMuch();
    }
  }

  /** A frame of a size that needs a block, and little or much of it. */
  #announce(): void {
    const sent = new Uint8Array(this.pick([5, 300, 5_000, 60_000]));
    const size = this.pick([66_000, 120_000, 300_000]);
    new DataView(sent.buffer).setInt32(0, size, false);
    this.end!.send(sent);
  }

  #askMuch(): void {
    if (this.chance(50)) this.#askMetadata();
    else this.#fetch(0, 0);
  }

  #askMetadata(): void {
    this.send(METADATA, METADATA_VERSION, newMetadataRequest({ topics: null }));
  }

  #poll(maxWaitMs: number): void {
    this.#fetch(maxWaitMs, 0x7fffffff);
  }

  #fetch(maxWaitMs: number, minBytes: number): void {
    const { name, partitions } = this.pick(this.stage.topics);
    const asked = Array.from(
      { length: partitions },
      (_, partition) => newFetchPartition({ partition, partitionMaxBytes: 0x7fffffff }),
    );
    // Named twice now and then.
    const twice = this.chance(20) ? [...asked, ...asked] : asked;
    const topics = [newFetchTopic({ topic: name, partitions: twice })];
    this.send(FETCH, FETCH_VERSION, newFetchRequest({ maxWaitMs, minBytes, topics }));
  }
}
