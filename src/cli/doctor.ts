/**
 * `gregor doctor`: would a broker start on this host, and run well?
 *
 * @module
 */

import { Settings } from "../base/settings.ts";
import {
  alignmentProblem,
  allowedProcessors,
  describeDirectoryError,
  lockProblem,
  openDescriptors,
  raiseFileLimit,
  uringProblem,
} from "../io/host.ts";
import { decoderBytesMax } from "../io/record_walk.ts";
import { loadShim, type Shim, ShimUnavailable } from "../io/shim.ts";
import { setDataDirectory } from "../io/uring_disk.ts";
import { descriptorsNeeded } from "../shard/descriptors.ts";
import { FORMAT_FLAG, printJson } from "./client_flags.ts";
import { command } from "./command.ts";
import { EXIT_HOST_UNFIT, EXIT_OK } from "./exit_codes.ts";
import { Failure } from "./failure.ts";
import { fileSystemOf, inspectHost, inspectMemory, readHostFile } from "./host.ts";
import { type Check, checkHost, type FlushTimes, type HostFacts, Verdict } from "./host_checks.ts";
import { START_FLAGS, type StartOptions, startOptions } from "./start_options.ts";
import { wrap } from "./table.ts";
import { bold, red, type Terminal } from "./terminal.ts";
import { parseFlags } from "./flags.ts";

/** Durable writes that are timed. */
const FLUSHES = 200;
/** And no more of them after so long (ms): a slow disk is known by then. */
const FLUSHES_MS_MAX = 3_000;
const BLOCK_BYTES = 4_096;
const NAME_WIDTH = 20;

export const definition = command({
  name: "doctor",
  about:
    "Checks this host: would a broker with these flags start here, and run well? Each check says what was found, and what " +
    "to do about it. It measures how long durable writes take in a temporary folder beside the data, and changes nothing.\n" +
    "The exit code is 71 when a start would be refused. `gregor tune` prints settings of the host for production.",
  positionals: [],
  flags: {
    "data-dir": START_FLAGS["data-dir"],
    "cores": START_FLAGS.cores,
    "memory": START_FLAGS.memory,
    "mode": START_FLAGS.mode,
    ...FORMAT_FLAG,
  },
  examples: [
    { line: "doctor --data-dir /var/lib/gregor", says: "Before the first start in production:" },
    { line: "doctor --mode dev --format json", says: "For scripts:" },
  ],
  run: ({ values, terminal }) => {
    const { cores, memory, mode } = values;
    const defaults = parseFlags({ flags: START_FLAGS, positionals: [] }, [], {}).values;
    const { dataDir } = values;
    const options = startOptions({ ...defaults, dataDir, cores, memory, mode }, inspectHost());
    const checks = checkHost(findFacts(options));
    if (values.format === "json") printJson(terminal, checks);
    else terminal.out(checks.map((check) => formatCheck(terminal, check)).join(""));
    const isFit = checks.every(({ verdict }) => verdict !== Verdict.BAD);
    return Promise.resolve(isFit ? EXIT_OK : EXIT_HOST_UNFIT);
  },
});

function formatCheck(terminal: Terminal, { name, verdict, found, remedy }: Check): string {
  const mark = verdict.padEnd(6);
  const painted = verdict === Verdict.GOOD
    ? mark
    : verdict === Verdict.BAD
    ? red(terminal, mark)
    : bold(terminal, mark);
  const width = terminal.columns - NAME_WIDTH - mark.length;
  const indent = NAME_WIDTH + mark.length;
  const line = `${painted}${name.padEnd(NAME_WIDTH)}${wrap(found, width, indent)}\n`;
  return remedy === null ? line : `${line}${" ".repeat(indent)}${wrap(remedy, width, indent)}\n`;
}

function findFacts(options: StartOptions): HostFacts {
  const { dataDir, cores, memoryBytes, mode } = options;
  const locks = mode === "production";
  const extents = new Settings(options.settings).number("journal.extents");
  const shim = needShim();
  return {
    kernel: `Linux ${readHostFile("/proc/sys/kernel/osrelease")?.trim() ?? "unknown"}`,
    uring: uringProblem(shim),
    cores,
    processors: allowedProcessors(shim).length,
    memoryBytes,
    decoderBytes: cores * decoderBytesMax(memoryBytes / cores),
    memory: inspectMemory(),
    locks,
    lock: locks ? lockProblem(shim, memoryBytes) : null,
    fileLimit: raiseFileLimit(shim),
    filesNeeded: descriptorsNeeded(openDescriptors(), cores, extents),
    directory: dataDir,
    ...inspectDirectory(shim, dataDir),
    clockSource: readLine("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
    governor: readLine("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
    // A line of headings, and one for each swap area.
    swap: (readHostFile("/proc/swaps")?.trim().split("\n").length ?? 0) > 1,
    hugePages: shim.gregor_huge_pages(),
    somaxconn: numberIn("/proc/sys/net/core/somaxconn"),
  };
}

/** The folder that would hold the data is probed in a folder of its own, so that a running broker is not disturbed. */
function inspectDirectory(
  shim: Shim,
  directory: string,
): Pick<HostFacts, "direct" | "fileSystem" | "freeBytes" | "flush"> {
  const parent = nearestFolder(directory);
  let own: string;
  try {
    own = Deno.makeTempDirSync({ dir: parent, prefix: ".gregor-doctor-" });
  } catch (error) {
    const message = `${parent} cannot be written to: ${
      error instanceof Error ? error.message : error
    }.`;
    const direct = { message, hint: "Choose another --data-dir, or change its permissions." };
    return { direct, fileSystem: null, freeBytes: null, flush: null };
  }
  try {
    setDataDirectory(shim, own);
    const aligned = shim.gregor_probe_direct();
    const direct = aligned < 0
      ? describeDirectoryError(-aligned, directory)
      : alignmentProblem(directory, aligned);
    const freeBytes = shim.gregor_free_bytes();
    return {
      direct,
      fileSystem: fileSystemOf(parent),
      freeBytes: freeBytes < 0 ? null : freeBytes,
      flush: timeFlushes(`${own}/flushes`),
    };
  } finally {
    Deno.removeSync(own, { recursive: true });
  }
}

/** The folder itself, or the nearest one above it that there is. */
function nearestFolder(directory: string): string {
  let path = directory.startsWith("/") ? directory : `${Deno.cwd()}/${directory}`;
  for (; path !== ""; path = path.slice(0, path.lastIndexOf("/"))) {
    try {
      if (Deno.statSync(path).isDirectory) return path;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory)) {
        return path;
      }
    }
  }
  return "/";
}

/** Writes a block and waits until it is durable, again and again; null where the disk refuses. */
function timeFlushes(path: string): FlushTimes | null {
  const block = crypto.getRandomValues(new Uint8Array(BLOCK_BYTES));
  const times: number[] = [];
  try {
    using file = Deno.openSync(path, { write: true, create: true });
    const endMs = performance.now() + FLUSHES_MS_MAX;
    while (times.length < FLUSHES && performance.now() < endMs) {
      const fromMs = performance.now();
      file.seekSync(0, Deno.SeekMode.Start);
      file.writeSync(block);
      file.syncDataSync();
      times.push(performance.now() - fromMs);
    }
  } catch {
    return null;
  }
  times.sort((a, b) => a - b);
  return { count: times.length, medianMs: times[times.length >> 1]!, worstMs: times.at(-1)! };
}

function readLine(path: string): string | null {
  return readHostFile(path)?.trim() ?? null;
}

function numberIn(path: string): number | null {
  const number = Number(readLine(path) ?? NaN);
  return Number.isFinite(number) ? number : null;
}

function needShim(): Shim {
  try {
    return loadShim();
  } catch (error) {
    if (!(error instanceof ShimUnavailable)) throw error;
    throw new Failure(EXIT_HOST_UNFIT, error.message);
  }
}
