/**
 * Removes the files of segments that a log no longer has, one at a time.
 *
 * A file goes only once the record that took it off the log is durable, and nobody reads or writes it.
 * One removal at once is the pace: unlinking a large file frees its extents in the file system's journal,
 * which the data path shares.
 *
 * @module
 */

import { ENOENT, isNoSpace } from "../io/errno.ts";
import { io, type Task } from "../io/task.ts";
import type { LogParts } from "./log_parts.ts";
import type { FileSlot } from "./file_table.ts";
import type { Segment } from "./segment.ts";

interface Doomed {
  readonly segment: Segment | null;
  /** A directory to remove once it is empty. */
  readonly directory: string;
  readonly afterLsn: number;
}

export class Reaper {
  readonly #parts: LogParts;
  #doomed: Doomed[] = [];
  #running = false;
  removedFiles = 0;

  constructor(parts: LogParts) {
    this.#parts = parts;
  }

  get idle(): boolean {
    return this.#doomed.length === 0;
  }

  segment(segment: Segment, afterLsn: number): void {
    segment.dropped = true;
    this.#doomed.push({ segment, directory: "", afterLsn });
  }

  directory(directory: string, afterLsn: number): void {
    this.#doomed.push({ segment: null, directory, afterLsn });
  }

  /** The next removal, if one may begin: a task to run, or null. */
  next(durableLsn: number): Task<void> | null {
    if (this.#running) return null;
    const at = this.#doomed.findIndex((each) =>
      each.afterLsn <= durableLsn && isUnused(each) && this.#isLast(each)
    );
    if (at < 0) return null;
    const [doomed] = this.#doomed.splice(at, 1);
    this.#running = true;
    return this.#remove(doomed!);
  }

  /** A directory is removed after all of its doomed files. */
  #isLast({ segment, directory }: Doomed): boolean {
    if (segment !== null) return true;
    const below = `${directory}/`;
    return !this.#doomed.some((each) => each.segment?.file.path.startsWith(below) === true);
  }

  *#remove(doomed: Doomed): Task<void> {
    const { disk } = this.#parts.context;
    if (doomed.segment === null) {
      const result = yield* io((done) => disk.removeDirectory(doomed.directory, done));
      // It usually holds a file that is not ours: it stays, and the next start reports it again.
      if (isNoSpace(result)) this.#doomed.push(doomed);
      else if (result < 0 && result !== -ENOENT) {
        this.#parts.context.onStray?.(doomed.directory, -result);
      }
    } else {
      yield* this.#unlink(doomed.segment.file);
      yield* this.#unlink(doomed.segment.indexFile);
    }
    this.#running = false;
  }

  *#unlink(slot: FileSlot): Task<void> {
    this.#parts.files.forget(slot);
    const result = yield* io((done) => this.#parts.context.disk.unlink(slot.path, done));
    if (result === 0) this.removedFiles++;
  }
}

function isUnused(doomed: Doomed): boolean {
  const segment = doomed.segment;
  if (segment === null) return true;
  return segment.writesInFlight === 0 && !segment.preparing && isClosed(segment.file) &&
    isClosed(segment.indexFile);
}

function isClosed(slot: FileSlot): boolean {
  return slot.users === 0 && !slot.opening;
}
