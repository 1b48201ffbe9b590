/**
 * Gregor and Apache Kafka are asked the same, and answer the same but for the differences that
 * `diff/known.ts` lists with their reasons. `deno task diff` goes on from here.
 */

import { strict as assert } from "node:assert";
import { fieldsWithoutChange, versionsWithoutCase } from "./diff/fields.ts";
import { fixedCases } from "./diff/fixed.ts";
import { Fixture } from "./diff/fixture.ts";
import { Hunt } from "./diff/hunt.ts";
import { KNOWN } from "./diff/known.ts";
import { describeNews } from "./diff/report.ts";

const SHOWN_MAX = 20;

Deno.test({
  name: "Gregor answers as Kafka does, but for the differences that are listed",
  ignore: !hasKafka(),
  fn: async () => {
    const fixture = await Fixture.start();
    try {
      const hunt = new Hunt(fixture);
      await hunt.run(fixedCases(null));
      const news = [...hunt.news.values()].slice(0, SHOWN_MAX).map((one) => describeNews(one));
      const gone = KNOWN.filter((known) => !known.byChance && !hunt.known.has(known));
      const problems = [
        ...news.map((text) => `not listed: ${text}`),
        ...gone.map(({ apis, asked }) => `listed, but no longer there: ${apis}: ${asked}`),
      ];
      assert.equal(problems.length, 0, problems.join("\n\n"));
      console.log(`${hunt.cases} cases, ${hunt.known.size} known differences`);
    } finally {
      await fixture.stop();
    }
  },
});

Deno.test("the fixed cases ask each API in each version, and change each field of each request", () => {
  const cases = [...fixedCases(null)];
  assert.deepEqual(fieldsWithoutChange(cases), []);
  assert.deepEqual(versionsWithoutCase(cases), []);
});

/** Kafka needs Java and Maven; where a check must not be skipped, they have to be there. */
function hasKafka(): boolean {
  if (Deno.env.get("CI") === "true") return true;
  return ["java", "mvn"].every((program) => {
    return (Deno.env.get("PATH") ?? "").split(":").some((folder) => {
      try {
        return Deno.statSync(`${folder}/${program}`).isFile;
      } catch {
        return false;
      }
    });
  });
}
