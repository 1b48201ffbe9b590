/**
 * What the members of a consumer group read: their regular expressions, the topics behind names, and the hash that says
 * that those changed.
 *
 * A regular expression is looked up when the first member brings it, and again when topics have come or gone, at most
 * once per {@linkcode REGEX_REFRESH_INTERVAL_MS}. Only what it fits is written.
 *
 * @module
 */

import { ErrorCode } from "../../wire/errors.ts";
import type { GroupTable } from "../group_table.ts";
import { REGEX_REFRESH_INTERVAL_MS, REGEX_SIZE_MAX, REGEXES_PER_GROUP_MAX } from "../limits.ts";
import type { ConsumerGroup, Round } from "./consumer_group.ts";
import { type Refusal, refusal } from "./refusal.ts";
import type { GroupTopics, MemberInfo, TopicFacts } from "./types.ts";

export class Subscriptions {
  readonly #table: GroupTable;

  constructor(table: GroupTable) {
    this.#table = table;
  }

  get #topics(): GroupTopics {
    return this.#table.world.topics;
  }

  /** Why a member cannot read by this regular expression; null when it can, and for none. */
  regexProblem(regex: string | null): Refusal | null {
    if (regex === null || regex === "") return null;
    const problem = regex.length > REGEX_SIZE_MAX
      ? `it has more than ${REGEX_SIZE_MAX} characters`
      : this.#table.world.regexes.problem(regex);
    if (problem === null) return null;
    const message =
      `SubscribedTopicRegex \`${regex}\` is not a valid regular expression: ${problem}.`;
    return refusal(ErrorCode.INVALID_REGULAR_EXPRESSION, message);
  }

  /** Whether the group can take one more regular expression. */
  hasRoomFor({ view }: Round, regex: string | null): boolean {
    return regex === null || regex === "" || view.regexes.has(regex) ||
      view.regexes.size < REGEXES_PER_GROUP_MAX;
  }

  /** A member reads by `regex` from now on, and by `former` no more. */
  changeRegex(round: Round, memberId: string, former: string | null, regex: string | null): void {
    if (former === regex) return;
    if (former !== null) this.dropRegex(round, memberId, former);
    if (regex !== null && regex !== "" && !round.view.regexes.has(regex)) {
      this.#lookUp(round, regex);
    }
  }

  /** `memberId` leaves, or reads by it no more. */
  dropRegex(round: Round, memberId: string, regex: string): void {
    const { view } = round;
    if (!view.regexes.has(regex) || !view.isRegexOnlyOf(regex, memberId)) return;
    round.change({ kind: "regex", regex, value: null });
  }

  /** Looks all regular expressions up again, if topics changed and it is time. */
  refreshRegexes(round: Round): void {
    const { consumer, view } = round;
    const { version } = this.#topics;
    if (consumer.regexVersion === version || view.regexes.size === 0) return;
    const { nowMs } = this.#table;
    if (nowMs < consumer.regexAtMs + REGEX_REFRESH_INTERVAL_MS) return;
    // After a start they are looked at anew, and again as soon as anything changes.
    if (consumer.regexVersion >= 0) consumer.regexAtMs = nowMs;
    consumer.regexVersion = version;
    for (const regex of [...view.regexes.keys()]) this.#lookUp(round, regex);
  }

  /**
   * Whether the topics that members read are others than the group's hash says; looked at only when topics changed,
   * or when `isAsked`.
   *
   * @returns the hash as it is now; null when it need not change
   */
  changedHash(round: Round, isAsked: boolean): number | null {
    const { consumer, view } = round;
    const { version } = this.#topics;
    if (!isAsked && consumer.topicsVersion === version) return null;
    consumer.topicsVersion = version;
    const hash = this.hash(round);
    return hash === view.group?.metadataHash ? null : hash;
  }

  /** Of all topics that the group reads. */
  hash({ view }: Round): number {
    let text = "";
    for (const name of [...view.subscribedTopics()].sort()) {
      const topic = this.#topics.byName(name);
      if (topic === null) continue;
      text += `${topic.id} ${name} ${topic.partitionCount}`;
      for (let partition = 0; partition < topic.partitionCount; partition++) {
        const racks = topic.racksOf(partition);
        if (racks.length > 0) text += ` ${partition} ${[...racks].sort().join(" ")}`;
      }
      text += "\n";
    }
    return text === "" ? 0 : hashOf(text);
  }

  /** The topics that exist of those that a member reads. */
  topicsOf({ ahead }: ConsumerGroup, member: MemberInfo): TopicFacts[] {
    const topics: TopicFacts[] = [];
    for (const name of ahead.topicsOf(member)) {
      const topic = this.#topics.byName(name);
      if (topic !== null) topics.push(topic);
    }
    return topics;
  }

  #lookUp(round: Round, regex: string): void {
    const { version } = this.#topics;
    const topics = this.#table.world.regexes.matching(regex, this.#topics.names()).sort();
    const former = round.view.regexes.get(regex);
    const isSame = former !== undefined && former.topics.length === topics.length &&
      topics.every((topic, at) => former.topics[at] === topic);
    if (isSame) return;
    const timestampMs = this.#table.wallMs;
    round.change({ kind: "regex", regex, value: { topics, version, timestampMs } });
  }
}

/** 53 bits of a text: two hashes of 32 bits with different factors (FNV-1a's, and one of MurmurHash3's). */
function hashOf(text: string): number {
  let low = 0x811c_9dc5;
  let high = 0x9747_b28c;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    low = Math.imul(low ^ unit, 0x0100_0193);
    high = Math.imul(high ^ unit, 0xcc9e_2d51);
    high = (high << 15) | (high >>> 17);
  }
  // Never 0, which stands for no topics.
  return (high >>> 11) * 0x1_0000_0000 + (low >>> 0) || 1;
}
