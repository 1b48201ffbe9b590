/**
 * `gregor produce`.
 *
 * @module
 */

import { RecordBatchBuilder, type RecordHeader } from "../wire/record_batch_builder.ts";
import { CODEC_NAMES, codecByName } from "./client/codecs.ts";
import { partitionOfKey } from "./client/partitioner.ts";
import { Producer } from "./client/producer.ts";
import { CLIENT_FLAGS, withCluster } from "./client_flags.ts";
import { command } from "./command.ts";
import { EXIT_FAILED, EXIT_OK } from "./exit_codes.ts";
import { Failure } from "./failure.ts";
import { choice, integer, pairs, size, text, toggle } from "./flags.ts";
import { linesOf } from "./lines.ts";
import { endsWithin } from "./pause.ts";
import { formatCount, formatSize } from "./size.ts";
import type { Terminal } from "./terminal.ts";

const PROGRESS_INTERVAL_MS = 200;
const LINGER_MS = 5;

export const definition = command({
  name: "produce",
  about: "Writes each line of stdin as a record. Lines are sent as they arrive; a pipe that is " +
    "faster than the cluster is batched. The command waits for a broker that is away for less than " +
    "--timeout, and with --acks all no line is written twice.",
  positionals: [{ name: "TOPIC", help: "Where to write", required: true }],
  flags: {
    ...CLIENT_FLAGS,
    "key-separator": text({
      value: "TEXT",
      help: "Text before it in a line is the key; records with one key share a partition",
    }),
    "partition": integer({
      value: "N",
      min: 0,
      help: "Write to this partition; default by key, else one after the other",
    }),
    "header": pairs({ value: "KEY=VALUE", help: "A header for every record, repeatable" }),
    "acks": choice({
      value: "ACKS",
      choices: ["all", "1", "0"],
      default: "all",
      help:
        "When a record counts as written. all: every replica that must have it has flushed it, and a " +
        "retry never writes twice; 1: the leader has flushed it; 0: it was sent",
    }),
    "codec": choice({
      value: "CODEC",
      choices: CODEC_NAMES,
      default: "none",
      help: "Compression of batches: none, gzip, snappy, lz4, zstd",
    }),
    "batch-size": size({
      value: "SIZE",
      default: 512 * 1024,
      min: 1,
      max: 64 * 2 ** 20,
      help: "Send a batch when it has this size, at the latest",
    }),
    "transactional-id": text({
      value: "ID",
      help:
        "Write all lines as one transaction of this id: committed at the end of stdin, aborted if anything fails, or by the " +
        "cluster after a minute. Whoever used the id before is fenced",
    }),
    "tombstones": toggle({ help: "An empty value after the key separator means: delete the key" }),
    "quiet": toggle({ help: "Say nothing about what was written" }),
  },
  examples: [
    { line: "produce hello", says: "Type lines, end with Ctrl-D:" },
    { line: "produce logs < app.log", says: "A file:" },
    {
      line: "produce users --key-separator : --codec zstd < users.txt",
      says: "Records with keys, compressed:",
    },
    {
      line: "produce orders --transactional-id import-7 < orders.txt",
      says: "All lines, or none:",
    },
  ],
  check: ({ values }) =>
    values.transactionalId !== undefined && values.acks !== "all"
      ? [{ subject: "--acks", message: "a transaction needs --acks all" }]
      : [],
  run: async ({ values, args, terminal }) => {
    const name = args[0]!;
    const acks = values.acks === "all" ? -1 : Number(values.acks);
    await withCluster(values, async (cluster) => {
      const codec = codecByName(values.codec);
      const progress = new Progress(values.quiet ? null : terminal, name);
      const onLost = (what: string): void => progress.interrupt(what);
      const transactionalId = values.transactionalId ?? null;
      const options = { acks, codec, onLost, transactionalId };
      const producer = await Producer.open(cluster, name, options);
      const { partition } = values;
      if (partition !== undefined && partition >= producer.partitionCount) {
        throw new Failure(
          EXIT_FAILED,
          `topic ${name} has no partition ${partition}`,
          `It has ${producer.partitionCount}, numbered from 0.`,
        );
      }
      const encoder = new TextEncoder();
      const headers = [...values.header].map(([key, value]) => ({
        key,
        value: encoder.encode(value),
      }));
      const writer = new LineWriter(producer, {
        separator: values.keySeparator === undefined ? null : encoder.encode(values.keySeparator),
        partition: partition ?? null,
        headers,
        batchSize: values.batchSize,
        hasTombstones: values.tombstones,
        onWritten: (records, bytes) => progress.count(records, bytes),
      });
      try {
        await writeLines(writer, terminal, progress);
        await producer.end(true);
      } catch (error) {
        // If this fails, too, the cluster aborts it after a while.
        await producer.end(false).catch(() => {});
        throw error;
      } finally {
        // Also after a failure: the number of written records is known, and the others may be written or not.
        progress.end(writer.unacknowledged);
      }
    });
    return EXIT_OK;
  },
});

/** Writes every line of stdin. */
async function writeLines(
  writer: LineWriter,
  terminal: Terminal,
  progress: Progress,
): Promise<void> {
  const input = linesOf(terminal.stdin);
  let next = input.next();
  for (;;) {
    // When the input pauses, the gathered records are sent; a fast pipe fills whole batches.
    if (!await endsWithin(next, LINGER_MS)) await writer.flush();
    const { done, value: lines } = await next;
    if (done === true) break;
    next = input.next();
    for (const line of lines) await writer.add(line);
    progress.show();
  }
  await writer.flush();
}

interface LineOptions {
  readonly separator: Uint8Array | null;
  readonly partition: number | null;
  readonly headers: readonly RecordHeader[];
  readonly batchSize: number;
  readonly hasTombstones: boolean;
  /** Called with the acknowledged records, and the bytes of their lines. */
  readonly onWritten: (records: number, bytes: number) => void;
}

/** Turns lines into records and gathers them per partition. */
class LineWriter {
  readonly #producer: Producer;
  readonly #options: LineOptions;
  readonly #builders: RecordBatchBuilder[];
  /** The last batch sent to each partition. */
  readonly #sending: (Promise<unknown> | null)[];
  /** Bytes of the lines in each builder. */
  readonly #bytes: number[];
  /** Where records without a key go until the next flush. */
  #sticky = 0;
  #unacknowledged = 0;

  constructor(producer: Producer, options: LineOptions) {
    this.#producer = producer;
    this.#options = options;
    this.#builders = Array.from(
      { length: producer.partitionCount },
      () => new RecordBatchBuilder(),
    );
    this.#sending = this.#builders.map(() => null);
    this.#bytes = this.#builders.map(() => 0);
  }

  /** Lines taken that no broker has acknowledged. */
  get unacknowledged(): number {
    return this.#unacknowledged;
  }

  async add(line: Uint8Array): Promise<void> {
    const { separator, headers, hasTombstones, batchSize } = this.#options;
    const cut = separator === null ? -1 : indexOf(line, separator);
    const key = cut < 0 ? null : line.subarray(0, cut);
    const text = cut < 0 ? line : line.subarray(cut + separator!.length);
    const value = key !== null && text.length === 0 && hasTombstones ? null : text;
    const partition = this.#options.partition ??
      (key === null ? this.#sticky : partitionOfKey(key, this.#builders.length));
    const builder = this.#builders[partition]!;
    builder.add({ key, value, headers, timestamp: Date.now() });
    this.#bytes[partition]! += line.length;
    this.#unacknowledged++;
    if (builder.size < batchSize) return;
    await this.#send(partition);
    if (key === null) this.#sticky = (this.#sticky + 1) % this.#builders.length;
  }

  /** Sends the gathered records, and waits until all are acknowledged. */
  async flush(): Promise<void> {
    for (let partition = 0; partition < this.#builders.length; partition++) {
      if (this.#builders[partition]!.count > 0) await this.#send(partition);
    }
    await Promise.all(this.#sending);
    this.#sticky = (this.#sticky + 1) % this.#builders.length;
  }

  async #send(partition: number): Promise<void> {
    await this.#sending[partition];
    const builder = this.#builders[partition]!;
    const records = builder.count;
    const bytes = this.#bytes[partition]!;
    this.#bytes[partition] = 0;
    const sending = this.#producer.send(partition, builder).then(() => {
      this.#unacknowledged -= records;
      this.#options.onWritten(records, bytes);
    });
    // The next wait meets the failure; until then it must not count as unhandled.
    sending.catch(() => {});
    this.#sending[partition] = sending;
  }
}

/** How much was written, on stderr: live on a terminal, once at the end otherwise. */
class Progress {
  readonly #terminal: Terminal | null;
  readonly #topic: string;
  #records = 0;
  #bytes = 0;
  #shownAt = 0;

  constructor(terminal: Terminal | null, topic: string) {
    this.#terminal = terminal;
    this.#topic = topic;
  }

  count(records: number, bytes: number): void {
    this.#records += records;
    this.#bytes += bytes;
  }

  /** Says something in between. */
  interrupt(what: string): void {
    this.#terminal?.remark(`${this.#clear()}${what}; ${this.#text()} so far\n`);
  }

  show(): void {
    if (this.#terminal?.canRedraw !== true) return;
    const now = performance.now();
    if (now - this.#shownAt < PROGRESS_INTERVAL_MS) return;
    this.#shownAt = now;
    this.#terminal.remark(this.#clear() + this.#text());
  }

  /** @param unacknowledged records that may be written or not */
  end(unacknowledged: number): void {
    const rest = unacknowledged === 0
      ? ""
      : `; ${formatCount(unacknowledged)} more may be written or not`;
    this.#terminal?.remark(`${this.#clear()}${this.#text()}${rest}\n`);
  }

  #clear(): string {
    return this.#terminal?.canRedraw === true ? "\r\x1b[K" : "";
  }

  #text(): string {
    const records = this.#records === 1 ? "record" : "records";
    const size = formatSize(this.#bytes);
    return `${formatCount(this.#records)} ${records} (${size}) written to ${this.#topic}`;
  }
}

function indexOf(line: Uint8Array, wanted: Uint8Array): number {
  let at = line.indexOf(wanted[0]!);
  while (at >= 0 && at + wanted.length <= line.length) {
    if (wanted.every((byte, i) => line[at + i] === byte)) return at;
    at = line.indexOf(wanted[0]!, at + 1);
  }
  return -1;
}
