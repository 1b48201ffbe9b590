/**
 * Every command by its words, with the line that `gregor help` shows for it.
 *
 * A command's own file is loaded when it is asked for, so that `gregor topic list` does not pay for
 * the broker.
 *
 * @module
 */

import type { Command } from "./command.ts";

export interface CommandEntry {
  readonly name: string;
  readonly summary: string;
  load(): Promise<{ readonly definition: unknown }>;
}

export const COMMANDS: readonly CommandEntry[] = [
  { name: "start", summary: "Run a broker", load: () => import("./start.ts") },
  {
    name: "check",
    summary: "Verify a stopped broker's files",
    load: () => import("./check.ts"),
  },
  {
    name: "version",
    summary: "Show what this program is, and what the host offers it",
    load: () => import("./version_command.ts"),
  },
  {
    name: "doctor",
    summary: "Check whether this host fits a broker",
    load: () => import("./doctor.ts"),
  },
  {
    name: "tune",
    summary: "Print settings of a host for production",
    load: () => import("./tune.ts"),
  },
  {
    name: "completions",
    summary: "Print completions of commands for a shell",
    load: () => import("./completions.ts"),
  },
  {
    name: "produce",
    summary: "Write lines from stdin as records",
    load: () => import("./produce.ts"),
  },
  { name: "consume", summary: "Print records to stdout", load: () => import("./consume.ts") },
  {
    name: "bench",
    summary: "Load a cluster, report rates and latencies",
    load: () => import("./bench.ts"),
  },
  { name: "topic create", summary: "Create topics", load: () => import("./topic_create.ts") },
  { name: "topic list", summary: "List topics", load: () => import("./topic_list.ts") },
  {
    name: "topic describe",
    summary: "Show partitions, offsets and configs of topics",
    load: () => import("./topic_describe.ts"),
  },
  {
    name: "topic alter",
    summary: "Change configs, add partitions",
    load: () => import("./topic_alter.ts"),
  },
  {
    name: "topic reassign",
    summary: "Move partitions to other nodes",
    load: () => import("./topic_reassign.ts"),
  },
  {
    name: "topic delete",
    summary: "Delete topics and their records",
    load: () => import("./topic_delete.ts"),
  },
  {
    name: "topic trim",
    summary: "Delete records before an offset",
    load: () => import("./topic_trim.ts"),
  },
  {
    name: "partition describe",
    summary: "Show how each replica of partitions is",
    load: () => import("./partition_describe.ts"),
  },
  {
    name: "partition transfer",
    summary: "Hand the leadership of partitions to a node",
    load: () => import("./partition_transfer.ts"),
  },
  {
    name: "partition recover",
    summary: "Go on with one replica, after the majority is lost for good",
    load: () => import("./partition_recover.ts"),
  },
  { name: "group list", summary: "List groups", load: () => import("./group_list.ts") },
  {
    name: "group describe",
    summary: "Show members, committed offsets and lag of groups",
    load: () => import("./group_describe.ts"),
  },
  {
    name: "group seek",
    summary: "Move a group's committed offsets",
    load: () => import("./group_seek.ts"),
  },
  { name: "group delete", summary: "Delete groups", load: () => import("./group_delete.ts") },
  {
    name: "txn list",
    summary: "List transactional ids",
    load: () => import("./txn_list.ts"),
  },
  {
    name: "txn describe",
    summary: "Show the last transaction of ids",
    load: () => import("./txn_describe.ts"),
  },
  {
    name: "txn abort",
    summary: "Abort open transactions, hanging ones too",
    load: () => import("./txn_abort.ts"),
  },
  {
    name: "cluster local",
    summary: "Run a cluster on this machine, to develop against",
    load: () => import("./cluster_local.ts"),
  },
  {
    name: "cluster info",
    summary: "Show the cluster's nodes",
    load: () => import("./cluster_info.ts"),
  },
  {
    name: "cluster nodes",
    summary: "Show each node: up or down, addresses, version, partitions",
    load: () => import("./cluster_nodes.ts"),
  },
  {
    name: "cluster maintenance",
    summary: "Have a node lead nothing for a while",
    load: () => import("./cluster_maintenance.ts"),
  },
  {
    name: "cluster decommission",
    summary: "Move everything off a node, for good",
    load: () => import("./cluster_decommission.ts"),
  },
  {
    name: "cluster recommission",
    summary: "Keep a node after all",
    load: () => import("./cluster_recommission.ts"),
  },
  {
    name: "cluster forget",
    summary: "Take an empty, stopped node out of the metadata",
    load: () => import("./cluster_forget.ts"),
  },
  {
    name: "cluster health",
    summary: "Report problems of the cluster",
    load: () => import("./cluster_health.ts"),
  },
  {
    name: "cluster config",
    summary: "Show or change the cluster's settings",
    load: () => import("./cluster_config.ts"),
  },
  {
    name: "generate grafana-dashboard",
    summary: "Print a dashboard for Grafana",
    load: () => import("./generate_grafana_dashboard.ts"),
  },
  {
    name: "generate prometheus-rules",
    summary: "Print alerts for Prometheus",
    load: () => import("./generate_prometheus_rules.ts"),
  },
];

/** The command at the beginning of `argv`, and how many words name it. */
export function findCommand(
  argv: readonly string[],
): { readonly entry: CommandEntry; readonly words: number } | null {
  for (const words of [2, 1]) {
    const name = argv.slice(0, words).join(" ");
    const entry = COMMANDS.find((one) => one.name === name);
    if (entry !== undefined && argv.length >= words) return { entry, words };
  }
  return null;
}

/** Loads a command's file. */
export async function loadCommand(entry: CommandEntry): Promise<Command> {
  return (await entry.load()).definition as Command;
}
