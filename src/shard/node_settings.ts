/**
 * The flags of a start, under Kafka's setting names: tools read a broker's listener, id and data directory with
 * DescribeConfigs.
 *
 * @module
 */

import { hostPort } from "../base/address.ts";
import type { SettingName } from "../base/settings.ts";

export interface NodeFlags {
  readonly nodeId: number;
  readonly rack: string | null;
  readonly dataDir: string;
  readonly kafkaHost: string;
  readonly advertisedHost: string;
}

/** The flags' values, under the names that Kafka's tools ask for. */
export function nodeSettings(
  options: NodeFlags,
  port: number,
  advertisedPort: number,
): [SettingName, string][] {
  const listener = (host: string, at: number): string => `PLAINTEXT://${hostPort(host, at)}`;
  const settings: [SettingName, string][] = [
    ["node.id", `${options.nodeId}`],
    ["broker.id", `${options.nodeId}`],
    ["process.roles", "broker,controller"],
    ["listeners", listener(options.kafkaHost, port)],
    ["advertised.listeners", listener(options.advertisedHost, advertisedPort)],
    ["listener.security.protocol.map", "PLAINTEXT:PLAINTEXT"],
    ["log.dirs", options.dataDir],
  ];
  if (options.rack !== null) settings.push(["broker.rack", options.rack]);
  return settings;
}
