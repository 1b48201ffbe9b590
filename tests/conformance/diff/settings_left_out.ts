/**
 * Kafka's broker settings that Gregor does not have, and why: `docs/DIFFERENCES.md` is made of this list,
 * and every setting that Kafka alone describes has to be in it.
 *
 * @module
 */

export interface LeftOut {
  readonly what: string;
  /** Beginnings of their names. */
  readonly names: readonly string[];
  readonly why: string;
}

export const SETTINGS_LEFT_OUT: readonly LeftOut[] = [
  {
    what: "Security",
    names: [
      "authorizer.",
      "connection.failed.authentication.",
      "connections.max.reauth.",
      "delegation.token.",
      "early.start.listeners",
      "principal.builder.",
      "sasl.",
      "security.",
      "ssl.",
      "super.users",
    ],
    why: "It is not built, and an operator who sets one of them must not believe that it protects.",
  },
  {
    what: "Tiered storage",
    names: ["follower.fetch.last.tiered.", "log.local.", "log.remote.", "remote."],
    why: "It is not built: records would not go where the operator expects.",
  },
  {
    what: "Group protocols",
    names: [
      "errors.deadletterqueue.",
      "group.consumer.assignor",
      "group.consumer.regex.",
      "group.coordinator.rebalance.protocols",
      "group.share.",
      "group.streams.",
      "share.",
    ],
    why:
      "Share groups and streams groups are not built, and groups of KIP-848 have what they need without a choice.",
  },
  {
    what: "Transactions in preparation",
    names: ["add.partitions.to.txn.", "transaction.two.phase.commit."],
    why:
      "A broker's own requests have no such settings, and Kafka's two-phase commit is not final.",
  },
  {
    what: "Plug-ins",
    names: [
      "alter.config.policy.",
      "client.quota.callback.",
      "config.providers",
      "create.topic.policy.",
    ],
    why: "Java classes cannot be loaded, and a policy that is not enforced must not be accepted.",
  },
  {
    what: "The quorum of controllers",
    names: ["controller.", "inter.broker.listener.", "metadata.log.dir"],
    why: "Nodes find each other by Gregor's own flags, and elect without separate controllers.",
  },
  {
    what: "Directories",
    names: ["cordoned.log.dirs", "log.dir"],
    why: "There is one data directory (`log.dirs`).",
  },
  {
    what: "Sizes of requests and batches",
    names: [
      "group.coordinator.cached.buffer.",
      "max.decompressed.message.bytes",
      "max.request.partition.size.limit",
    ],
    why: "The bounds follow from `--memory`, and a larger number would not be kept to.",
  },
];
