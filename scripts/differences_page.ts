/**
 * `docs/DIFFERENCES.md`: in what Gregor answers otherwise than Apache Kafka, and why, from the list that
 * the differential check holds both brokers to (`tests/conformance/diff/known.ts`).
 *
 * @module
 */

import { KAFKA } from "../tests/conformance/diff/kafka_version.ts";
import { KNOWN, NOT_COMPARED } from "../tests/conformance/diff/known.ts";

export function differencesPage(banner: string): string {
  const sorted = KNOWN.toSorted((a, b) => a.apis.join() < b.apis.join() ? -1 : 1);
  return [
    banner,
    "",
    "# Differences",
    "",
    `Gregor and Apache Kafka ${KAFKA} are asked the same (\`tests/conformance/diff\`): every API in every`,
    "version that both serve, with valid, extreme and senseless values of each field, and sequences of",
    "requests. The answers are compared field by field. In these they differ, and are meant to. The check",
    "fails when there is another difference, or when one of these is gone.",
    "",
    "| API | Asked for | Kafka | Gregor | Why |",
    "| --- | --- | --- | --- | --- |",
    ...sorted.map(({ apis, asked, kafkaDoes, gregorDoes, reason }) => {
      return `| ${[apis.join(", "), asked, kafkaDoes, gregorDoes, reason].join(" | ")} |`;
    }),
    "",
    "What is each broker's own is not a difference: ids, addresses, leader epochs, sizes, times of the clock,",
    "and the order of lists that Kafka keeps in hash tables. Not compared:",
    "",
    ...NOT_COMPARED.map((what) => `- ${what}`),
    "",
  ].join("\n");
}
