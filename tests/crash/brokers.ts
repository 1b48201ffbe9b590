/**
 * Which connection a request of the load takes: one broker serves everything, in a cluster each partition and each group
 * has a broker of its own.
 *
 * @module
 */

import type { Address } from "../../src/cli/flags.ts";
import { Link } from "./link.ts";

/** What a request is about: it belongs to the leader of a partition, to the coordinator of a group, or to anybody. */
export type About =
  | { readonly topic: string; readonly partition: number }
  | { readonly group: string }
  | null;

export interface Brokers {
  /** The link of a client for requests about something; the same one when it is asked for again. */
  link(client: string, about: About): Link;
  /** Every link so far. */
  readonly links: readonly Link[];
}

/** One broker: a client has one connection. */
export class OneBroker implements Brokers {
  readonly #address: Address;
  readonly #links = new Map<string, Link>();

  constructor(address: Address) {
    this.#address = address;
  }

  link(client: string): Link {
    let link = this.#links.get(client);
    if (link === undefined) {
      link = new Link(this.#address, client);
      this.#links.set(client, link);
    }
    return link;
  }

  get links(): readonly Link[] {
    return [...this.#links.values()];
  }
}
