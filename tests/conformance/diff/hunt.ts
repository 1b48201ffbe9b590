/**
 * Runs many cases at both brokers, several at once; keeps the differences that are news, one of a kind,
 * and counts the known ones.
 *
 * @module
 */

import type { Case, Json } from "./case.ts";
import type { Fixture } from "./fixture.ts";
import type { KnownDifference } from "./known.ts";
import { knownAs } from "./known.ts";
import type { Difference, Lane } from "./lane.ts";
import { shrink } from "./shrink.ts";

const LANES = 4;

/** A difference that nobody listed, in the first case that showed it. */
export interface News {
  readonly found: Case;
  readonly difference: Difference;
  /** How many cases showed it. */
  count: number;
}

export class Hunt {
  readonly news = new Map<string, News>();
  /** Each known difference that was met, and one of every kind that it covers. */
  readonly known = new Map<KnownDifference, Map<string, News>>();
  cases = 0;
  readonly #fixture: Fixture;
  #number = 0;

  constructor(fixture: Fixture) {
    this.#fixture = fixture;
    this.note({ name: "fixture", steps: [] }, fixture.differences);
  }

  /** Runs all; `onNews` gets each kind of difference when it is first met. */
  async run(cases: Iterable<Case>, onNews: (one: News) => void = () => {}): Promise<void> {
    const iterator = cases[Symbol.iterator]();
    const work = async (): Promise<void> => {
      const lane = this.#fixture.lane();
      try {
        for (let next = iterator.next(); !next.done; next = iterator.next()) {
          const differences = await lane.run(next.value, this.#prefix());
          this.cases++;
          for (const one of this.note(next.value, differences)) onNews(one);
        }
      } finally {
        await lane.close();
      }
    };
    await Promise.all(Array.from({ length: LANES }, work));
  }

  /** Sorts a case's differences into known ones and news; returns what is new. */
  note(found: Case, differences: readonly Difference[]): News[] {
    const fresh: News[] = [];
    for (const difference of differences) {
      const known = knownAs(difference);
      if (known !== null) {
        const kinds = this.known.get(known) ?? new Map<string, News>();
        this.known.set(known, kinds);
        count(kinds, found, difference);
        continue;
      }
      const one = count(this.news, found, difference);
      if (one !== null) fresh.push(one);
    }
    return fresh;
  }

  /** The smallest case that still shows it. */
  async shrink({ found, difference }: News): Promise<Case> {
    const lane: Lane = this.#fixture.lane();
    const wanted = signatureOf(difference);
    try {
      return await shrink(found, async (smaller) => {
        const differences = await lane.run(smaller, this.#prefix());
        return differences.some((one) => signatureOf(one) === wanted);
      });
    } finally {
      await lane.close();
    }
  }

  #prefix(): string {
    return `c${this.#number++}-`;
  }
}

/** Counts a difference with those of its kind; returns it if it is the first. */
function count(kinds: Map<string, News>, found: Case, difference: Difference): News | null {
  const key = signatureOf(difference);
  const before = kinds.get(key);
  if (before !== undefined) {
    before.count++;
    return null;
  }
  const one = { found, difference, count: 1 };
  kinds.set(key, one);
  return one;
}

/** Differences of one kind have it in common: the API, the field, and both values. */
export function signatureOf({ step, path, kafka, gregor }: Difference): string {
  const shape = path.replace(/\[\d+\]/g, "[]").replace(/\{.*?\}/g, "{}");
  return [step.api, shape, kindOf(kafka), kindOf(gregor)].join(" ");
}

/** Lists and objects by their size alone: what is in them varies with what was asked. */
function kindOf(value: Json): string {
  if (Array.isArray(value)) return `[${value.length}]`;
  if (typeof value === "object" && value !== null) return "{}";
  return JSON.stringify(value).replace(/c\d+-[^'" ]*/g, "$c").slice(0, 200);
}
