/**
 * `gregor check`.
 *
 * @module
 */

import { Arena } from "../bytes/arena.ts";
import { softwareCrc32c } from "../bytes/crc32c.ts";
import { wrapMemory } from "../bytes/memory.ts";
import { checkNode, type CheckReport } from "../storage/check.ts";
import { FORMAT_FLAG, printJson } from "./client_flags.ts";
import { command } from "./command.ts";
import {
  EXIT_CANNOT_CREATE,
  EXIT_DATA_DAMAGED,
  EXIT_DISK_ERROR,
  EXIT_HOST_UNFIT,
  EXIT_OK,
  EXIT_USAGE,
} from "./exit_codes.ts";
import { Failure } from "./failure.ts";
import { size, text } from "./flags.ts";
import { OverlayDisk } from "./overlay_disk.ts";
import { formatCount, formatSize } from "./size.ts";
import { formatFields, formatTable } from "./table.ts";
import type { Terminal } from "./terminal.ts";

const LOCK_FILE = "gregor.lock";
const MIB = 2 ** 20;

export const definition = command({
  name: "check",
  about:
    "Verifies every checksum and invariant of a stopped broker's files: manifest, checkpoints, " +
    "journal, indexes, segments, batches. Changes nothing. Exits with 65 when something is damaged.",
  positionals: [],
  flags: {
    "data-dir": text({ value: "DIR", default: "gregor-data", help: "The broker's data directory" }),
    "memory": size({
      value: "SIZE",
      default: 256 * MIB,
      min: 64 * MIB,
      max: 2 ** 32,
      help: "Memory to read with; as much as the broker had per core is enough",
    }),
    ...FORMAT_FLAG,
  },
  examples: [
    { line: "check --data-dir /var/lib/gregor", says: "A stopped broker's files:" },
    { line: "check --format json | jq .damages", says: "What is damaged, for a script:" },
  ],
  run: ({ values, terminal }) => {
    const directory = values.dataDir;
    const release = lockDirectory(directory);
    try {
      const report = checkDirectory(terminal, directory, values.memory);
      return Promise.resolve(conclude(terminal, values.format, directory, report));
    } finally {
      release();
    }
  },
});

/** Makes sure that the directory is there and no broker runs in it. */
function lockDirectory(directory: string): () => void {
  let lock: Deno.FsFile;
  try {
    if (!Deno.statSync(directory).isDirectory) throw new Deno.errors.NotFound();
    lock = Deno.openSync(`${directory}/${LOCK_FILE}`, { read: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new Failure(
      EXIT_USAGE,
      `${directory} is not the data directory of a broker`,
      "Say which one with --data-dir.",
    );
  }
  if (!lock.tryLockSync(false)) {
    lock.close();
    throw new Failure(EXIT_CANNOT_CREATE, `a broker runs in ${directory}`, "Stop it first.");
  }
  return () => lock.close();
}

function checkDirectory(terminal: Terminal, directory: string, memoryBytes: number): CheckReport {
  const bytes = Math.floor(memoryBytes / (2 * MIB)) * 2 * MIB;
  const memory = wrapMemory(new ArrayBuffer(bytes));
  const disk = new OverlayDisk(directory, memory);
  let shownStage = "";
  try {
    const context = {
      disk,
      memory,
      // The first block stays free: address 0 is no buffer.
      arena: new Arena(4096, bytes - 4096),
      crc32c: softwareCrc32c(memory),
      onFatal: (_errno: number, message: string) => {
        throw new Failure(EXIT_DISK_ERROR, message);
      },
      onDamage: () => {},
    };
    return disk.finish(checkNode(context, (stage, done) => {
      if (!terminal.canRedraw && stage === shownStage) return;
      shownStage = stage;
      const percent = `${Math.floor(done * 100)}`.padStart(3);
      terminal.remark(terminal.canRedraw ? `\r\x1b[K${stage} ${percent} %` : `${stage}\n`);
    }));
  } finally {
    if (terminal.canRedraw) terminal.remark("\r\x1b[K");
    disk.dispose();
  }
}

function conclude(
  terminal: Terminal,
  format: "table" | "json",
  directory: string,
  report: CheckReport,
): number {
  if (report.outcome === "newer") {
    throw new Failure(
      EXIT_CANNOT_CREATE,
      report.reason,
      "Use the version that wrote it, or later.",
    );
  }
  if (report.outcome === "memory") {
    throw new Failure(EXIT_HOST_UNFIT, report.reason, "Raise --memory accordingly.");
  }
  if (report.outcome === "error") {
    throw new Failure(EXIT_DISK_ERROR, `${report.reason}: errno ${report.errno}`);
  }
  const { damages, suspectPartitions, strays } = report;
  const isSound = report.outcome !== "damaged" && damages.length === 0;
  if (format === "json") {
    printJson(terminal, { ...report, isSound });
    return isSound ? EXIT_OK : EXIT_DATA_DAMAGED;
  }
  terminal.out(formatFields([
    ["directory", directory],
    ["verdict", isSound ? report.reason || "sound" : report.reason || "damaged"],
    ["node", report.nodeId < 0 ? "-" : String(report.nodeId)],
    ["cores", String(report.shards)],
    ["partitions", formatCount(report.logs)],
    ["segments", formatCount(report.segments)],
    ["batches", `${formatCount(report.batches)} (${formatSize(report.bytes)})`],
    ["replayed", `${formatCount(report.replayedRecords)} journal records`],
    ["damages", formatCount(damages.length)],
  ]));
  if (damages.length > 0) {
    terminal.out(
      "\n" + formatTable(
        terminal,
        [{ heading: "FILE" }, { heading: "POSITION", isNumber: true }, { heading: "LOST" }],
        damages.map(({ file, position, lost }) => [
          file,
          position < 0 ? "-" : String(position),
          lost,
        ]),
      ),
    );
  }
  if (suspectPartitions.length > 0) {
    terminal.out(
      `\nMay have lost acknowledged records, and are read-only: ${suspectPartitions.join(", ")}\n`,
    );
  }
  if (strays.length > 0) {
    terminal.out(`\nNot Gregor's, and left alone: ${strays.join(", ")}\n`);
  }
  const lossless = report.outcome !== "damaged" && suspectPartitions.length === 0 &&
    damages.every((damage) => damage.harmless === true);
  if (!isSound && !lossless) {
    terminal.out(
      "\nPut back a copy of the files, or give up what is lost: start the broker once with\n" +
        `gregor start --data-dir ${directory} --accept-loss --verify\n`,
    );
  } else if (!isSound) {
    const next = `gregor start --data-dir ${directory}`;
    terminal.out(`\nNothing is lost: the next start mends it: ${next}\n`);
  }
  return isSound ? EXIT_OK : EXIT_DATA_DAMAGED;
}
