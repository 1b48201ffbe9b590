/**
 * The files of a broker that does not run, to be looked into and damaged.
 *
 * @module
 */

import { crc32cOfBytes } from "../../src/bytes/crc32c.ts";
import { BLOCK_SIZE } from "../../src/io/disk.ts";
import {
  JOURNAL_ID_OFFSET,
  LSN_OFFSET,
  MOUNT_EPOCH_OFFSET,
  STABLE_LSN_OFFSET,
} from "../../src/storage/journal_format.ts";
import type { Manifest } from "../../src/storage/manifest.ts";

/** A block of a journal's ring. */
export interface JournalBlock {
  readonly path: string;
  readonly position: number;
  readonly lsn: number;
  readonly stableLsn: number;
}

export class DiskImage {
  readonly root: string;

  constructor(dataDir: string) {
    this.root = dataDir;
  }

  get manifest(): Manifest {
    const text = Deno.readTextFileSync(`${this.root}/manifest`);
    return JSON.parse(text.slice(text.indexOf("\n") + 1)) as Manifest;
  }

  /** Replaces the manifest, with a sound checksum. */
  writeManifest(manifest: Manifest): void {
    const json = new TextEncoder().encode(JSON.stringify(manifest));
    const crc = crc32cOfBytes(json, 0, json.length, 0).toString(16).padStart(8, "0");
    const head = new TextEncoder().encode(`gregor manifest crc32c=${crc} bytes=${json.length}\n`);
    const size = Math.ceil((head.length + json.length) / BLOCK_SIZE) * BLOCK_SIZE;
    const bytes = new Uint8Array(size).fill(0x0a);
    bytes.set(head);
    bytes.set(json, head.length);
    Deno.writeFileSync(`${this.root}/manifest`, bytes);
  }

  /** The blocks of a shard's journal that were written since its last start, by LSN. */
  journalBlocks(shard: number): JournalBlock[] {
    const { mountEpoch, shards } = this.manifest;
    const { journalId, extents } = shards[shard]!;
    const blocks: JournalBlock[] = [];
    for (const path of extents) {
      const bytes = Deno.readFileSync(`${this.root}/${path}`);
      const view = new DataView(bytes.buffer);
      const number = (at: number) => Number(view.getBigInt64(at, true));
      for (let at = 0; at < bytes.length; at += BLOCK_SIZE) {
        if (number(at + JOURNAL_ID_OFFSET) !== journalId) continue;
        if (view.getUint32(at + MOUNT_EPOCH_OFFSET, true) !== mountEpoch) continue;
        const lsn = number(at + LSN_OFFSET);
        blocks.push({ path, position: at, lsn, stableLsn: number(at + STABLE_LSN_OFFSET) });
      }
    }
    return blocks.sort((a, b) => a.lsn - b.lsn);
  }

  /** Segment files (or their indexes) of a log with bytes in them, oldest first. */
  segments(topic: string, partition: number, suffix: ".log" | ".index" = ".log"): string[] {
    for (const { name } of Deno.readDirSync(`${this.root}/logs`)) {
      if (!name.startsWith(`${topic}-${partition}.`)) continue;
      return [...Deno.readDirSync(`${this.root}/logs/${name}`)]
        .map((file) => `logs/${name}/${file.name}`)
        .filter((path) => path.endsWith(suffix) && this.size(path) > 0)
        .sort();
    }
    return [];
  }

  size(path: string): number {
    return Deno.statSync(`${this.root}/${path}`).size;
  }

  /** Changes one bit of each of `count` bytes. */
  flip(path: string, position: number, count = 1): void {
    this.#change(path, position, count, (byte) => byte ^ 0x10);
  }

  zero(path: string, position: number, count: number): void {
    this.#change(path, position, count, () => 0);
  }

  #change(path: string, position: number, count: number, change: (byte: number) => number): void {
    using file = Deno.openSync(`${this.root}/${path}`, { read: true, write: true });
    const bytes = new Uint8Array(count);
    file.seekSync(position, Deno.SeekMode.Start);
    if (file.readSync(bytes) !== count) throw new Error(`${path} ends before ${position + count}`);
    file.seekSync(position, Deno.SeekMode.Start);
    file.writeSync(bytes.map(change));
  }
}
