/**
 * `deno run -A tests/conformance/records/record_answers.ts`: asks Apache Kafka what it answers to each kind of
 * batch, and writes `kafka_answers.txt` for `records_test.ts`. Needs Java and Maven.
 *
 * @module
 */

import { KafkaBroker } from "../../harness/kafka_broker.ts";
import { ANSWERS_FILE, formatAnswers } from "./answers.ts";
import { probe } from "./probe.ts";

const KAFKA = "4.4.0";

// Nobody follows the advertised address: the probe stays on its connection.
const broker = await KafkaBroker.start(KAFKA, "127.0.0.1:9092");
try {
  const answers = new Map(
    [...await probe(broker.kafka)].map(([name, each]) => [name, each.answer]),
  );
  Deno.writeTextFileSync(ANSWERS_FILE, formatAnswers(`Kafka ${KAFKA}`, answers));
} finally {
  await broker.stop();
}
