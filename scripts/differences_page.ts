/**
 * `docs/DIFFERENCES.md`: in what Gregor answers otherwise than Apache Kafka, and why, from the list that
 * the differential check holds both brokers to (`tests/conformance/diff/known.ts`).
 *
 * @module
 */

import { KAFKA } from "../tests/conformance/diff/kafka_version.ts";
import { KNOWN, NOT_COMPARED } from "../tests/conformance/diff/known.ts";
import { SETTINGS_LEFT_OUT } from "../tests/conformance/diff/settings_left_out.ts";

export function differencesPage(banner: string): string {
  const sorted = KNOWN.toSorted((a, b) => a.apis.join() < b.apis.join() ? -1 : 1);
  return [
    banner,
    "",
    "# Differences",
    "",
    `Gregor and Apache Kafka ${KAFKA} get the same requests (\`tests/conformance/diff\`): every API in every`,
    "version that both serve, with valid, extreme and senseless values of each field, and sequences of",
    "requests. The answers are compared field by field. The differences below are intended. The check",
    "fails when there is another difference, or when one of these no longer occurs.",
    "",
    "| API | Asked for | Kafka | Gregor | Why |",
    "| --- | --- | --- | --- | --- |",
    ...sorted.map(({ apis, asked, kafkaDoes, gregorDoes, reason }) => {
      return `| ${[apis.join(", "), asked, kafkaDoes, gregorDoes, reason].join(" | ")} |`;
    }),
    "",
    "Values of each broker's own are no differences: ids, addresses, leader epochs, sizes, times of the clock,",
    "and the order of lists that Kafka keeps in hash tables. Not compared:",
    "",
    ...NOT_COMPARED.map((what) => `- ${what}`),
    "",
    "## Settings of a broker",
    "",
    "Every other setting of Kafka's is described with its type, its default, its source and its synonyms. The documentation",
    "of those that have no effect says why. These are refused:",
    "",
    "| Settings | Names begin with | Why |",
    "| --- | --- | --- |",
    ...SETTINGS_LEFT_OUT.map(({ what, names, why }) => {
      return `| ${what} | ${names.map((name) => `\`${name}\``).join(", ")} | ${why} |`;
    }),
    "",
  ].join("\n");
}
