/**
 * The file of Kafka's answers: a line per kind of batch, `NAME = ANSWER`, and the first says of whom.
 *
 * @module
 */

export const ANSWERS_FILE = new URL("./kafka_answers.txt", import.meta.url).pathname;

export function formatAnswers(broker: string, answers: ReadonlyMap<string, string>): string {
  const lines = [`# ${broker}; recorded by record_answers.ts`];
  for (const [name, answer] of answers) lines.push(`${name} = ${answer}`);
  return lines.join("\n") + "\n";
}

export function readAnswers(): Map<string, string> {
  const lines = Deno.readTextFileSync(ANSWERS_FILE).trimEnd().split("\n").slice(1);
  return new Map(lines.map((line) => line.split(" = ") as [string, string]));
}
