/**
 * What of a host a broker minds, judged: facts in, verdicts with remedies out. `gregor doctor` finds the facts.
 *
 * @module
 */

import { type HostProblem, inMebibytes, memorySizeProblem } from "../io/host_problem.ts";
import type { MemoryLimits } from "../io/host_problem.ts";

export const Verdict = { GOOD: "good", WARN: "warn", BAD: "bad" } as const;
export type Verdict = typeof Verdict[keyof typeof Verdict];

export interface Check {
  readonly name: string;
  /** BAD: a start would be refused. WARN: it would be slower, or less safe from the host's other work. */
  readonly verdict: Verdict;
  readonly found: string;
  /** Null where nothing has to be done. */
  readonly remedy: string | null;
}

/** How long small durable writes took (ms). */
export interface FlushTimes {
  readonly count: number;
  readonly medianMs: number;
  readonly worstMs: number;
}

/** What was found; null: it could not be found out. */
export interface HostFacts {
  readonly kernel: string;
  readonly uring: HostProblem | null;
  readonly cores: number;
  readonly processors: number;
  readonly memoryBytes: number;
  readonly decoderBytes: number;
  readonly memory: MemoryLimits;
  readonly locks: boolean;
  readonly lock: HostProblem | null;
  /** Limit of open files, raised as far as it may be, and what such a broker needs. */
  readonly fileLimit: number;
  readonly filesNeeded: number;
  readonly directory: string;
  readonly fileSystem: string | null;
  readonly direct: HostProblem | null;
  readonly freeBytes: number | null;
  readonly flush: FlushTimes | null;
  readonly clockSource: string | null;
  readonly governor: string | null;
  readonly swap: boolean | null;
  /** 0 never, 1 where asked for, 2 always. */
  readonly hugePages: number;
  readonly somaxconn: number | null;
}

/** Open files that a busy broker wants: connections and segments. */
export const FILES_WANTED = 65_536;
/** Connections that wait to be accepted. */
export const BACKLOG_WANTED = 4_096;
/** A flush that takes longer makes each producer wait as long (ms). */
const SLOW_FLUSH_MS = 10;
/** Segments, indexes and the journals of a few cores. */
const FREE_WANTED_BYTES = 4 * 2 ** 30;
/** File systems whose files are gone when the host is. */
const IN_MEMORY: readonly string[] = ["tmpfs", "ramfs"];
/** Clocks that a thread reads without a system call. */
const FAST_CLOCKS: readonly string[] = [
  "tsc",
  "kvm-clock",
  "hyperv_clocksource_tsc_page",
  "arch_sys_counter",
];
const HUGE_PAGES = ["never, or unknown", "where asked for", "always"] as const;

/** All checks, in the order in which a start meets them. */
export function checkHost(facts: HostFacts): Check[] {
  return [
    judge("io_uring", facts.uring, facts.kernel),
    judge(
      "memory",
      memorySizeProblem(facts.memoryBytes, facts.decoderBytes, facts.memory, facts.locks),
      `${inMebibytes(facts.memoryBytes)} of ${inMebibytes(usable(facts.memory))} for the broker`,
    ),
    judge("locked memory", facts.lock, facts.locks ? "may be locked" : "not needed in dev mode"),
    openFiles(facts),
    cores(facts),
    judge("data directory", facts.direct, `${facts.directory}: direct I/O works`),
    fileSystem(facts),
    freeSpace(facts),
    flushes(facts),
    hugePages(facts),
    swap(facts),
    clock(facts),
    governor(facts),
    backlog(facts),
  ].filter((check) => check !== null);
}

function judge(name: string, problem: HostProblem | null, found: string): Check {
  return problem === null
    ? { name, verdict: Verdict.GOOD, found, remedy: null }
    : { name, verdict: Verdict.BAD, found: problem.message, remedy: problem.hint };
}

/** Good as long as `isGood`, else a warning with what to do. */
function advise(name: string, isGood: boolean, found: string, remedy: string): Check {
  return isGood
    ? { name, verdict: Verdict.GOOD, found, remedy: null }
    : { name, verdict: Verdict.WARN, found, remedy };
}

function usable({ ramBytes, cgroupBytes }: MemoryLimits): number {
  return Math.min(ramBytes, cgroupBytes);
}

function openFiles({ fileLimit, filesNeeded }: HostFacts): Check {
  const remedy =
    "Raise it: ulimit -n, LimitNOFILE= in the systemd unit, docker run --ulimit nofile=.";
  const found = `at most ${fileLimit}`;
  if (fileLimit < filesNeeded) {
    const needs = `${found}; with this number of cores a broker needs ${filesNeeded}`;
    return { name: "open files", verdict: Verdict.BAD, found: needs, remedy };
  }
  const few = `${found}: few connections and segments at once`;
  const isGood = fileLimit >= FILES_WANTED;
  return advise("open files", isGood, isGood ? found : few, remedy);
}

function cores({ cores, processors }: HostFacts): Check {
  const found = `${cores} of ${processors} processors`;
  return advise(
    "cores",
    cores <= processors,
    found,
    `Set --cores to ${processors} at most: shards that share a processor wait for each other.`,
  );
}

function fileSystem({ fileSystem }: HostFacts): Check | null {
  if (fileSystem === null) return null;
  return advise(
    "file system",
    !IN_MEMORY.includes(fileSystem),
    fileSystem,
    "It is in memory: nothing on it survives a restart of the host. Put --data-dir on ext4 or xfs.",
  );
}

function freeSpace({ freeBytes }: HostFacts): Check | null {
  if (freeBytes === null) return null;
  return advise(
    "free space",
    freeBytes >= FREE_WANTED_BYTES,
    inMebibytes(freeBytes),
    "Journals alone take some gigabytes on many cores. Put --data-dir where there is more room.",
  );
}

function flushes({ flush }: HostFacts): Check | null {
  if (flush === null) return null;
  const { count, medianMs, worstMs } = flush;
  return advise(
    "durable write",
    medianMs < SLOW_FLUSH_MS,
    `median ${milliseconds(medianMs)}, worst ${milliseconds(worstMs)} of ${count} (4 KiB each)`,
    "Every acknowledgement waits for one. Put --data-dir on a local SSD, with power-loss protection where it can be had.",
  );
}

function hugePages({ hugePages }: HostFacts): Check {
  return advise(
    "huge pages",
    hugePages > 0,
    HUGE_PAGES[hugePages] ?? HUGE_PAGES[0],
    "Let programs ask for them: echo madvise > /sys/kernel/mm/transparent_hugepage/enabled.",
  );
}

function swap({ swap }: HostFacts): Check | null {
  if (swap === null) return null;
  return advise(
    "swap",
    !swap,
    swap ? "on" : "off",
    "Data is locked in memory, the program itself is not, and a pause for a page is a pause of a shard: swapoff -a, or " +
      "vm.swappiness=1.",
  );
}

function clock({ clockSource }: HostFacts): Check | null {
  if (clockSource === null) return null;
  return advise(
    "clock",
    FAST_CLOCKS.includes(clockSource),
    clockSource,
    "Each reading is a system call. See /sys/devices/system/clocksource/clocksource0/available_clocksource.",
  );
}

function governor({ governor }: HostFacts): Check | null {
  if (governor === null) return null;
  return advise(
    "processor governor",
    governor !== "powersave",
    governor,
    "Processors are slow to wake: cpupower frequency-set -g performance.",
  );
}

function backlog({ somaxconn }: HostFacts): Check | null {
  if (somaxconn === null) return null;
  return advise(
    "connection backlog",
    somaxconn >= BACKLOG_WANTED,
    String(somaxconn),
    `Many clients that connect at once are turned away: sysctl net.core.somaxconn=${BACKLOG_WANTED}.`,
  );
}

function milliseconds(ms: number): string {
  return `${ms.toFixed(ms < 1 ? 3 : 1)} ms`;
}
