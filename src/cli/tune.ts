/**
 * `gregor tune`: what a host in production should be set to, as files to copy. It changes nothing.
 *
 * @module
 */

import { command } from "./command.ts";
import { EXIT_OK } from "./exit_codes.ts";
import { choice } from "./flags.ts";
import { readHostFile } from "./host.ts";
import { BACKLOG_WANTED, FILES_WANTED } from "./host_checks.ts";
import { wrap } from "./table.ts";

const WIDTH = 98;

/** A setting of the kernel, its value for a broker, and why. */
interface Sysctl {
  readonly name: string;
  readonly value: string;
  readonly why: string;
}

const SYSCTLS: readonly Sysctl[] = [
  {
    name: "kernel.io_uring_disabled",
    value: "0",
    why: "All disk and network I/O goes through io_uring.",
  },
  {
    name: "net.core.somaxconn",
    value: String(BACKLOG_WANTED),
    why: "After a restart all clients connect at once.",
  },
  {
    name: "net.ipv4.tcp_max_syn_backlog",
    value: String(BACKLOG_WANTED),
    why: "The same, while connections are being made.",
  },
  {
    name: "vm.swappiness",
    value: "1",
    why: "Data is locked in memory; the program beside it should stay there, too.",
  },
  {
    name: "fs.file-max",
    value: "1048576",
    why: "Of the whole host: each connection and each open segment takes one.",
  },
];

const LIMITS: readonly (readonly [string, string, string])[] = [
  ["memlock", "unlimited", "--memory is locked."],
  ["nofile", String(FILES_WANTED), "Connections and segments."],
];

export const definition = command({
  name: "tune",
  about:
    "Prints settings of the kernel and limits of a user for a broker in production, each with its reason and the value that " +
    "it has now. It changes nothing: look at them, then copy them to where they belong. `gregor doctor` says which of them " +
    "matter on this host.",
  positionals: [],
  flags: {
    "for": choice({
      value: "WHAT",
      choices: ["sysctl", "limits"],
      default: "sysctl",
      help:
        "sysctl: a file for /etc/sysctl.d; limits: one for /etc/security/limits.d, for brokers that systemd does not start",
    }),
  },
  examples: [
    { line: "tune > 90-gregor.conf", says: "For /etc/sysctl.d, read by `sysctl --system`:" },
    { line: "tune --for limits", says: "For the user gregor:" },
  ],
  run: ({ values, terminal }) => {
    terminal.out(values.for === "limits" ? limitsFile() : sysctlFile());
    return Promise.resolve(EXIT_OK);
  },
});

function sysctlFile(): string {
  return SYSCTLS.map(({ name, value, why }) =>
    `${comment(`${why} Now: ${presentValue(name)}.`)}${name} = ${value}\n`
  ).join("\n");
}

function limitsFile(): string {
  return LIMITS.map(([item, value, why]) =>
    `${comment(why)}gregor soft ${item} ${value}\ngregor hard ${item} ${value}\n`
  ).join("\n");
}

function comment(text: string): string {
  return `# ${wrap(text, WIDTH).replaceAll("\n", "\n# ")}\n`;
}

function presentValue(name: string): string {
  return readHostFile(`/proc/sys/${name.replaceAll(".", "/")}`)?.trim() ?? "unknown here";
}
