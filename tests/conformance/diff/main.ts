/**
 * `deno task diff`: asks Gregor and Apache Kafka the same, and prints in what they differ.
 *
 * ```
 * deno task diff                       the fixed cases, as the conformance suite has them
 * deno task diff --all                 the same in every version
 * deno task diff --api Fetch,Produce   only these APIs
 * deno task diff --only "two members"   only cases whose names match the pattern
 * deno task diff --brief               a line for each, without looking for the smallest case
 * deno task diff --seed 5              cases from a seed, until Ctrl-C; --minutes 10 or --cases 1000 end it
 * deno task diff --seed 5 --case 118   one of them; several with commas
 * deno task diff --replay JSON         one case, as an earlier run printed it
 * deno task diff --unmet               says which listed differences did not occur
 * deno task diff --listed              says what each listed difference covered: is its pattern as narrow as its reason?
 * deno task diff --coverage            asks nothing: how often which API would be asked, and how
 * ```
 *
 * Each kind of difference is printed once, in the smallest case that shows it. Exits with 1 when there
 * was one that `known.ts` does not list.
 *
 * @module
 */

import { parseArgs } from "node:util";
import type { Case, Step } from "./case.ts";
import { fixedCases } from "./fixed.ts";
import { fieldsWithoutChange } from "./fields.ts";
import { Fixture } from "./fixture.ts";
import { Hunt } from "./hunt.ts";
import { KNOWN } from "./known.ts";
import { randomCase, randomCases } from "./random_cases.ts";
import { coverageTable, describeBriefly, describeNews } from "./report.ts";

const { values: flags } = parseArgs({
  args: Deno.args,
  options: {
    all: { type: "boolean" },
    api: { type: "string" },
    replay: { type: "string" },
    seed: { type: "string" },
    case: { type: "string" },
    cases: { type: "string" },
    minutes: { type: "string" },
    brief: { type: "boolean" },
    only: { type: "string" },
    unmet: { type: "boolean" },
    listed: { type: "boolean" },
    coverage: { type: "boolean" },
  },
});

if (import.meta.main) Deno.exit(await main());

async function main(): Promise<number> {
  if (flags.coverage) {
    const cases = [...untilEnough(chosenCases())];
    console.log(coverageTable(cases));
    for (const field of fieldsWithoutChange(cases)) console.log(`has one value: ${field}`);
    return 0;
  }
  const startedMs = performance.now();
  const fixture = await Fixture.start();
  try {
    const hunt = new Hunt(fixture);
    await hunt.run(
      untilEnough(chosenCases()),
      (one) => flags.brief && console.log(describeBriefly(one)),
    );
    for (const one of flags.brief ? [] : hunt.news.values()) {
      console.log(describeNews(one, await hunt.shrink(one)));
    }
    for (const [{ apis, asked }, kinds] of flags.listed ? hunt.known : []) {
      console.log(`\n${apis}: ${asked}`);
      for (const one of kinds.values()) console.log(`  ${describeBriefly(one)}`);
    }
    if (flags.unmet) {
      for (const { apis, asked } of KNOWN.filter((known) => !hunt.known.has(known))) {
        console.log(`not met: ${apis}: ${asked}`);
      }
    }
    const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
    console.log(`${hunt.cases} cases, ${hunt.news.size} differences that are news (${seconds} s)`);
    return hunt.news.size === 0 ? 0 : 1;
  } finally {
    await fixture.stop();
  }
}

function chosenCases(): Iterable<Case> {
  if (flags.replay !== undefined) {
    return [{ name: "replayed", steps: JSON.parse(flags.replay) as Step[] }];
  }
  const apis = flags.api === undefined ? null : new Set(flags.api.split(","));
  if (flags.seed === undefined) return fixedCases(apis, flags.all);
  const seed = Number(flags.seed);
  if (flags.case === undefined) return randomCases(seed, 0, apis);
  return flags.case.split(",").flatMap((index) => randomCase(seed, Number(index), apis) ?? []);
}

/** Ends with the time or the number that was asked for, or with Ctrl-C. */
function* untilEnough(cases: Iterable<Case>): Generator<Case> {
  const endMs = performance.now() + Number(flags.minutes ?? Infinity) * 60_000;
  let left = Number(flags.cases ?? Infinity);
  let isInterrupted = false;
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, () => isInterrupted = true);
  }
  const only = new RegExp(flags.only ?? "");
  for (const one of cases) {
    if (!only.test(one.name)) continue;
    if (left-- <= 0 || performance.now() > endMs || isInterrupted) return;
    yield one;
  }
}
