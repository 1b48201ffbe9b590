/**
 * The flags that every client command has, and the way from them to a cluster.
 *
 * @module
 */

import { Cluster } from "./client/cluster.ts";
import { type Address, addresses, choice, duration } from "./flags.ts";
import { type Column, formatTable } from "./table.ts";
import type { Terminal } from "./terminal.ts";

export const CLIENT_FLAGS = {
  "brokers": addresses({
    value: "HOST:PORT,...",
    default: "127.0.0.1:9092",
    help: "Address of any broker of the cluster",
  }),
  "timeout": duration({
    value: "TIME",
    default: 10_000,
    min: 1,
    help: "How long to wait for the cluster",
  }),
} as const;

export const FORMAT_FLAG = {
  "format": choice({
    value: "FORMAT",
    choices: ["table", "json"],
    default: "table",
    help: "table for people, json for scripts",
  }),
} as const;

/** Runs `work` with a connected cluster, and closes it whatever happens. */
export async function withCluster<T>(
  values: { readonly brokers: readonly Address[]; readonly timeout: number },
  work: (cluster: Cluster) => Promise<T>,
): Promise<T> {
  const cluster = await Cluster.connect(values.brokers, { timeoutMs: values.timeout });
  try {
    return await cluster.guard(work(cluster));
  } finally {
    cluster.close();
  }
}

/** Prints a value as indented JSON. */
export function printJson(terminal: Terminal, value: unknown): void {
  terminal.out(JSON.stringify(value, null, 2) + "\n");
}

/** A column of a listing: how it looks in a table, and its name in JSON. */
export interface Listed<T> extends Column {
  readonly key: string;
  readonly of: (row: T) => unknown;
  /** How a person reads it, where that differs from the value itself. */
  readonly show?: (row: T) => string;
}

/** Prints rows as a table or as an array of objects. */
export function printRows<T>(
  terminal: Terminal,
  format: "table" | "json",
  columns: readonly Listed<T>[],
  rows: readonly T[],
): void {
  if (format === "json") {
    printJson(
      terminal,
      rows.map((row) => Object.fromEntries(columns.map((column) => [column.key, column.of(row)]))),
    );
    return;
  }
  terminal.out(formatTable(
    terminal,
    columns,
    rows.map((row) =>
      columns.map((column) => {
        if (column.show !== undefined) return column.show(row);
        const value = column.of(row);
        if (value === null || value === undefined) return "-";
        return Array.isArray(value) ? value.join(",") : String(value);
      })
    ),
  ));
}
