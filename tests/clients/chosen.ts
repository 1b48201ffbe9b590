/**
 * What the environment chooses of the client tests: README.md has the variables.
 *
 * @module
 */

import { type Client, CLIENTS, whyMissing } from "./clients.ts";

export const CI: boolean = Deno.env.get("CI") === "true";
/** A broker that runs already. */
export const EXTERNAL: string | undefined = Deno.env.get("BROKERS");

/**
 * The words of a variable, in the order of `all`; all of them where it is not set.
 *
 * @throws {Error} where a word is none of them: a misspelt one would run nothing, and pass
 */
export function chosen<T extends string>(variable: string, all: readonly T[]): T[] {
  const words = Deno.env.get(variable)?.split(",");
  if (words === undefined) return [...all];
  const unknown = words.filter((word) => !all.some((each) => each === word));
  if (unknown.length > 0) {
    throw new Error(`${variable}: no ${unknown.join()}; there are ${all.join()}`);
  }
  return all.filter((word) => words.includes(word));
}

export const SCENARIOS: readonly string[] = chosen("SCENARIOS", [
  "roundtrip",
  "cross",
  "group",
  "recreate",
  "traffic",
]);

const names = chosen("CLIENTS", CLIENTS.map(({ name }) => name));
export const chosenClients: readonly Client[] = CLIENTS.filter(({ name }) => names.includes(name));

/** Registers a test, or says why it cannot run: a skip on a person's machine, a failure in CI. */
export function cell(
  name: string,
  needed: readonly Pick<Client, "name">[],
  run: () => Promise<void>,
): void {
  const missing = needed.map((client) => ({ client, why: whyMissing(client) }))
    .find(({ why }) => why !== null);
  if (missing === undefined) {
    Deno.test(name, run);
  } else if (CI) {
    Deno.test(name, () => {
      throw new Error(`Cannot run ${missing.client.name}: ${missing.why}`);
    });
  } else {
    Deno.test({ name: `${name} (${missing.client.name}: ${missing.why})`, ignore: true, fn: run });
  }
}
