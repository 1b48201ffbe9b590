/**
 * Runs cases at both brokers, step by step, and says in what the answers differ.
 *
 * A lane has connections of its own, so that several run beside each other; a case's names begin with
 * its number, so that cases do not meet.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import type { Api } from "../../../src/wire/api.ts";
import { CATALOG } from "../../../src/wire/generated/catalog.ts";
import { requestHeaderVersion } from "../../../src/wire/header.ts";
import { afterLength, LengthWriter, withLength } from "../malformed/length_writer.ts";
import { API_BY_NAME } from "./apis.ts";
import type { Case, Damage, Json, Step } from "./case.ts";
import { knownAs } from "./known.ts";
import { buildMessage } from "./message_builder.ts";
import { compare, type FieldDifference, type Knowledge, Normaliser } from "./normalise.ts";
import { type Outcome, Peer } from "./peer.ts";
import { onlyOwn } from "./scope.ts";

const ENTRIES = new Map(CATALOG.map((entry) => [entry.name, entry]));
/** How long an answer may take when nothing is to be waited for. */
const PATIENCE_MS = 15_000;
/** The same where the request asks for a wait without end. */
const LONG_POLL_PATIENCE_MS = 1_500;
/** Tries within 20 s: Kafka may be busy. */
const SETTLE_FIRST_MS = 20;
const SETTLE_TRIES = 10;
const HOUR_MS = 3_600_000;
/** "diff" */
const CLIENT_ID_HEX = "64696666";

/** Records are of this moment unless they say otherwise: the same at both brokers, and not old. */
const NOW_MS = Math.floor(Date.now() / HOUR_MS) * HOUR_MS;

/** What differed in one step. */
export interface Difference extends FieldDifference {
  readonly stepIndex: number;
  readonly step: Step;
  /** What was asked before. */
  readonly earlier: readonly Step[];
}

/** Topics and groups that every case may use; filled by the fixture's cases. */
export interface Shared {
  readonly kafka: Knowledge;
  readonly gregor: Knowledge;
}

/** One broker during one case. */
class Side {
  readonly peer: Peer;
  readonly knowledge: Knowledge;
  readonly answers: (object | null)[] = [];

  constructor(peer: Peer, shared: Knowledge) {
    this.peer = peer;
    this.knowledge = {
      topicIds: new Map(shared.topicIds),
      formerIds: new Map(shared.formerIds),
      epochs: new Map(shared.epochs),
      port: shared.port,
    };
  }

  /** Sends a step; what came of it is awaited by the caller. */
  async send(step: Step, index: number, prefix: string): Promise<() => Promise<Json>> {
    const api = API_BY_NAME.get(step.api);
    assert.ok(api !== undefined, `there is no API ${step.api}`);
    const resolve = (text: string) => this.#resolve(text, prefix);
    const entry = ENTRIES.get(`${step.api}Request`)!;
    const message = buildMessage(entry, step.version, step.request, resolve);
    const correlationId = this.peer.nextCorrelationId();
    const { outcome } = await this.peer.ask(step.connection ?? 0, correlationId, {
      api,
      version: claimedVersion(step),
      frame: encodeFrame(api, step, correlationId, message),
      patienceMs: patienceOf(message),
      isFenced: step.api === "Produce" && (message as { acks: number }).acks === 0,
    });
    this.answers[index] = null;
    return async () => this.#digest(step, message, index, await outcome, prefix);
  }

  #digest(step: Step, message: object, index: number, outcome: Outcome, prefix: string): Json {
    if (outcome.kind !== "answer") return outcome.kind;
    this.answers[index] = outcome.message;
    learn(this.knowledge, outcome.message);
    const entry = ENTRIES.get(`${step.api}Response`)!;
    const said = JSON.parse(JSON.stringify(message)) as Json;
    const normaliser = new Normaliser(this.knowledge, said);
    const answer = normaliser.message(entry, outcome.version, outcome.message);
    return onlyOwn(step.api, answer, prefix);
  }

  #resolve(text: string, prefix: string): string | number {
    const named = text.replace(/\$c(?:~(\d+))?/g, (_, size: string | undefined) => {
      return size === undefined ? prefix : prefix.padEnd(Number(size), "x");
    });
    const whole = /^%([^%]+)%$/.exec(named);
    if (whole !== null) return this.#placeholder(whole[1]!);
    return named.replace(/%([^%]+)%/g, (_, inner: string) => String(this.#placeholder(inner)));
  }

  #placeholder(inner: string): string | number {
    const [, path, sum] = /^(.*?)([+-]\d+)?$/.exec(inner)!;
    const add = Number(sum ?? 0);
    const [kind, rest] = splitOnce(path!, ":");
    if (kind === "now") return NOW_MS + add;
    if (kind === "id") return this.knowledge.topicIds.get(rest) ?? "";
    if (kind === "epoch") return (this.knowledge.epochs.get(rest) ?? 0) + add;
    let value: unknown = this.answers[Number(kind)];
    for (const part of rest.split(/[.[\]]+/).filter((one) => one !== "")) {
      value = (value as Record<string, unknown> | null | undefined)?.[part];
    }
    if (typeof value === "number") return value + add;
    return typeof value === "string" ? value : "";
  }
}

function splitOnce(text: string, by: string): [string, string] {
  const at = text.indexOf(by);
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
}

function claimedVersion({ version, damage }: Step): number {
  return damage !== undefined && "claims" in damage ? damage.claims : version;
}

/** Waits that a request asks for are taken into account, to a bound. */
function patienceOf(message: object): number {
  const { maxWaitMs } = message as { maxWaitMs?: number };
  return maxWaitMs !== undefined && maxWaitMs > LONG_POLL_PATIENCE_MS
    ? LONG_POLL_PATIENCE_MS
    : PATIENCE_MS;
}

function encodeFrame(
  api: Api<unknown, unknown>,
  step: Step,
  correlationId: number,
  message: object,
): Uint8Array {
  const { version } = step;
  const damage = step.damage ?? { claims: version };
  const writer = new LengthWriter();
  writer.int32(0);
  writer.int16("key" in damage ? damage.key : api.key);
  writer.int16(claimedVersion(step));
  writer.int32(correlationId);
  const clientId = "clientId" in damage ? damage.clientId : CLIENT_ID_HEX;
  if (clientId === null) writer.int16(-1);
  else {
    writer.int16(clientId.length / 2);
    writer.raw(Uint8Array.fromHex(clientId));
  }
  const headerLengths = writer.lengths.length;
  if (requestHeaderVersion(api, claimedVersion(step)) === 2) {
    writer.raw(Uint8Array.fromHex("headerTags" in damage ? damage.headerTags : "00"));
  }
  api.encodeRequest(writer, version, message);
  writer.view.setInt32(0, writer.size - 4, false);
  const frame = writer.copyBytes();
  if (step.damage === undefined) return frame;
  // Only flexible versions end with tagged fields.
  if ("tags" in step.damage && requestHeaderVersion(api, version) === 1) return frame;
  return damaged(frame, step.damage, writer, headerLengths);
}

function damaged(
  frame: Uint8Array,
  damage: Damage,
  writer: LengthWriter,
  headerLengths: number,
): Uint8Array {
  if ("length" in damage) {
    const field = writer.lengths[headerLengths + damage.length];
    return field === undefined ? frame : withLength(frame, field, damage.says);
  }
  if ("spoil" in damage) {
    const field = writer.lengths[headerLengths + damage.spoil];
    const at = field === undefined ? frame.length : afterLength(field);
    if (at < frame.length) frame[at] = 0xff;
    return frame;
  }
  if ("cut" in damage) return resized(frame, 0, frame.length - damage.cut);
  if ("extra" in damage) return resized(frame, damage.extra, frame.length);
  if ("tags" in damage) return resized(frame, damage.tags, frame.length - 1);
  return frame;
}

/** The first `size` bytes and more, with the right size in front. */
function resized(frame: Uint8Array, hex: string | 0, size: number): Uint8Array {
  const more = hex === 0 ? new Uint8Array(0) : Uint8Array.fromHex(hex);
  const kept = Math.max(size, 4);
  const result = new Uint8Array(kept + more.length);
  result.set(frame.subarray(0, kept));
  result.set(more, kept);
  new DataView(result.buffer).setInt32(0, result.length - 4, false);
  return result;
}

/** Notes topic ids and leader epochs wherever an answer has them beside a name. */
function learn(knowledge: Knowledge, message: object): void {
  const { topics } = message as { topics?: unknown };
  if (!Array.isArray(topics)) return;
  for (const topic of topics as Record<string, unknown>[]) {
    const { name, topicId, partitions } = topic;
    if (typeof name !== "string") continue;
    if (typeof topicId === "string" && /[1-9a-f]/.test(topicId)) {
      const known = knowledge.topicIds.get(name);
      if (known !== undefined && known !== topicId) {
        knowledge.formerIds.set(known, `<former id ${knowledge.formerIds.size} of ${name}>`);
      }
      knowledge.topicIds.set(name, topicId);
    }
    if (!Array.isArray(partitions)) continue;
    for (const { partitionIndex, leaderEpoch } of partitions as Record<string, unknown>[]) {
      if (typeof leaderEpoch === "number" && leaderEpoch >= 0) {
        knowledge.epochs.set(`${name}#${partitionIndex}`, leaderEpoch);
      }
    }
  }
}

export class Lane {
  readonly #kafka: Peer;
  readonly #gregor: Peer;
  readonly #shared: Shared;

  constructor(kafka: string, gregor: string, shared: Shared) {
    this.#kafka = new Peer("kafka", kafka);
    this.#gregor = new Peer("gregor", gregor);
    this.#shared = shared;
  }

  /** Everything in which the brokers differ, in the order of the steps. */
  async run(one: Case, prefix: string): Promise<Difference[]> {
    const sides = this.#sides();
    const found = await runSteps(one, prefix, sides);
    // Connections belong to the case: what they hold (sessions, members waited for) ends with it.
    if (one.steps.some(({ connection, pending }) => pending || (connection ?? 0) > 0)) {
      await this.close();
    }
    return found;
  }

  /** The same, with names as they are; adds what it taught to what every case knows. */
  async teach(one: Case): Promise<Difference[]> {
    const sides = this.#sides();
    const found = await runSteps(one, "", sides);
    const [kafka, gregor] = sides;
    for (
      const [side, shared] of [[kafka, this.#shared.kafka], [gregor, this.#shared.gregor]] as const
    ) {
      for (const [name, id] of side.knowledge.topicIds) shared.topicIds.set(name, id);
      for (const [of, epoch] of side.knowledge.epochs) shared.epochs.set(of, epoch);
    }
    return found;
  }

  /** Both brokers' answers to one request, Kafka's first. */
  async answers(one: Step): Promise<readonly [Json, Json]> {
    const [kafka, gregor] = this.#sides();
    return [await (await kafka.send(one, 0, ""))(), await (await gregor.send(one, 0, ""))()];
  }

  async close(): Promise<void> {
    await Promise.all([this.#kafka.close(), this.#gregor.close()]);
  }

  #sides(): readonly [Side, Side] {
    return [
      new Side(this.#kafka, this.#shared.kafka),
      new Side(this.#gregor, this.#shared.gregor),
    ];
  }
}

async function runSteps(
  { steps }: Case,
  prefix: string,
  [kafka, gregor]: readonly [Side, Side],
): Promise<Difference[]> {
  const late = new Map<number, () => Promise<void>>();
  const found: Difference[] = [];
  const ask = async (step: Step, stepIndex: number): Promise<() => Promise<Difference[]>> => {
    const digests = await Promise.all([
      kafka.send(step, stepIndex, prefix),
      gregor.send(step, stepIndex, prefix),
    ]);
    const earlier = steps.slice(0, stepIndex);
    return async () => {
      const [one, other] = await Promise.all(digests.map((digest) => digest()));
      return compare(one!, other!).map((difference) => ({
        ...difference,
        stepIndex,
        step,
        earlier,
      }));
    };
  };
  for (const [stepIndex, step] of steps.entries()) {
    for (const awaited of step.awaits ?? []) {
      await late.get(awaited)?.();
      late.delete(awaited);
    }
    const judge = await ask(step, stepIndex);
    if (step.pending) {
      late.set(stepIndex, async () => void found.push(...await judge()));
      continue;
    }
    let differences = await judge();
    const isUnsettled = () => step.settles && differences.some((one) => knownAs(one) === null);
    for (let i = 0; isUnsettled() && i < SETTLE_TRIES; i++) {
      await new Promise((resolve) => setTimeout(resolve, SETTLE_FIRST_MS * 2 ** i));
      differences = await (await ask(step, stepIndex))();
    }
    found.push(...differences);
    if (differences.some((one) => knownAs(one)?.endsCase)) break;
  }
  for (const judge of late.values()) await judge();
  return found.sort((a, b) => a.stepIndex - b.stepIndex);
}
