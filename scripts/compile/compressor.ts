/**
 * Packs pieces into zstd frames on all cores, and remembers frames between runs: the runtime is the same in every
 * build, and packing it takes a minute.
 *
 * @module
 */

import { createHash } from "node:crypto";

/** As tight as zstd gets without asking the launcher for more memory; unpacking costs the same at every level. */
const LEVEL = 19;

/** What a worker gets and gives. */
export interface Order {
  readonly at: number;
  readonly level: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

export class Compressor {
  readonly #folder: string;

  /** @param folder where frames are kept by the hash of their content */
  constructor(folder: string) {
    this.#folder = folder;
    Deno.mkdirSync(folder, { recursive: true });
  }

  /** A frame for each piece. */
  async compress(pieces: readonly Uint8Array<ArrayBuffer>[]): Promise<Uint8Array<ArrayBuffer>[]> {
    const files = pieces.map((piece) => {
      const hash = createHash("sha256").update(piece).digest("hex");
      return `${this.#folder}/${hash}.${LEVEL}.zst`;
    });
    const missing = pieces.map((_, at) => at).filter((at) => !isFile(files[at]!));
    const store = (at: number, frame: Uint8Array): void => {
      // A rename is atomic: nobody finds half a frame.
      Deno.writeFileSync(`${files[at]}.new`, frame);
      Deno.renameSync(`${files[at]}.new`, files[at]!);
    };
    const cores = Math.min(navigator.hardwareConcurrency, missing.length);
    await Promise.all(
      Array.from({ length: cores }, () => this.#work(pieces, missing, store)),
    );
    return files.map((file) => Deno.readFileSync(file));
  }

  /** One thread, until nothing is missing. */
  async #work(
    pieces: readonly Uint8Array<ArrayBuffer>[],
    missing: number[],
    store: (at: number, frame: Uint8Array) => void,
  ): Promise<void> {
    const url = new URL("./compress_worker.ts", import.meta.url);
    const worker = new Worker(url, { type: "module" });
    try {
      for (let at = missing.shift(); at !== undefined; at = missing.shift()) {
        const answer = new Promise<Uint8Array>((resolve, reject) => {
          worker.onmessage = ({ data }) => resolve(data);
          worker.onerror = (event) => {
            event.preventDefault();
            reject(new Error(event.message));
          };
        });
        worker.postMessage({ at, level: LEVEL, bytes: pieces[at]! } satisfies Order);
        store(at, await answer);
      }
    } finally {
      worker.terminate();
    }
  }
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
