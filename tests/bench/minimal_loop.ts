/**
 * The yardstick: the least that a durable produce path can be on this shim.
 *
 * Receives produce requests, checks each batch's CRC-32C, copies it after the others, writes what has
 * gathered with one O_DIRECT durable write at a time, and then replies. No partitions, no offsets worth
 * the name, no index, no limits. What the broker does beyond this is what its throughput is compared
 * with this one's for (`produce_bench.ts`).
 *
 * `minimal_loop.ts DIR MIB`, with a log file of so many MiB, prints `ready kafka=HOST:PORT` and runs until SIGTERM, when it
 * prints its number of writes.
 *
 * @module
 */

import { Arena } from "../../src/bytes/arena.ts";
import type { Completion } from "../../src/io/completion.ts";
import { listen } from "../../src/io/host.ts";
import { mapRegion, wrapRegion } from "../../src/io/region.ts";
import { loadShim } from "../../src/io/shim.ts";
import { runTask } from "../../src/io/task.ts";
import { Uring, wakeRing } from "../../src/io/uring.ts";
import { setDataDirectory, UringDisk } from "../../src/io/uring_disk.ts";
import { UringSockets } from "../../src/io/uring_sockets.ts";
import { prewriteFile } from "../../src/storage/prewritten_file.ts";
import { MinimalConnection, type MinimalShared, RESPONSES_SIZE } from "./minimal_connection.ts";
import { MinimalLog } from "./minimal_log.ts";

const MIB = 2 ** 20;
const REGION_BYTES = 128 * MIB;
const RECEIVE_BUFFERS = 256;
const RECEIVE_BUFFER_SIZE = 64 * 1024;
const WRITE_BYTES_MAX = 4 * MIB;
const FRAME_SIZE_MAX = 2 * MIB;
const TURNS_PER_RUN = 64;
const SLEEP_US = 250_000;
const RING = 0;

function main(directory: string, fileBytes: number): void {
  const shim = loadShim();
  // Locked as the broker's in production; where that is not allowed, at least never faulted in later.
  const locked = mapRegion(shim, REGION_BYTES, { lock: true, populate: true });
  if (locked < 0) check(mapRegion(shim, REGION_BYTES, { populate: true }), "map memory");
  check(setDataDirectory(shim, directory), `use ${directory}`);
  const memory = wrapRegion(shim);
  const arena = new Arena(0, REGION_BYTES);
  const ring = new Uring(shim, RING);
  const disk = new UringDisk(ring, directory);
  const receive = new Float64Array(RECEIVE_BUFFERS).map(() => arena.allocate(RECEIVE_BUFFER_SIZE));
  const sockets = new UringSockets(ring, receive, RECEIVE_BUFFER_SIZE, () => {});

  const buffers: [number, number] = [
    arena.allocate(WRITE_BYTES_MAX),
    arena.allocate(WRITE_BYTES_MAX),
  ];
  const prewrite = prewriteFile({
    disk,
    memory,
    path: "minimal.log",
    sizeBytes: fileBytes,
    bufferAddress: buffers[0],
    bufferBytes: WRITE_BYTES_MAX,
    onProgress: null,
  });
  runTask(prewrite, (handle) => {
    check(handle, "write the log file");
    serve(handle);
  });

  function serve(handle: number): void {
    const connections: MinimalConnection[] = [];
    const blocksOf = new Map<MinimalConnection, { frame: number; responses: number }>();
    // Connections with responses in the filling write, and in the one in flight with its marks.
    let logged: MinimalConnection[] = [];
    let leaving: MinimalConnection[] = [];
    const marks: number[] = [];
    const log = new MinimalLog({
      disk,
      memory,
      shim,
      handle,
      fileBytes,
      buffers,
      bufferBytes: WRITE_BYTES_MAX,
      onDurable: () => {
        for (let at = 0; at < leaving.length; at++) leaving[at]!.release(marks[at]!);
        leaving.length = 0;
        marks.length = 0;
      },
      onFailure: (errno) => check(-errno, "write the log"),
    });
    const shared: MinimalShared = {
      memory,
      shim,
      sockets,
      log,
      onLogged: (connection) => logged.push(connection),
      onGone: (connection) => {
        connections.splice(connections.indexOf(connection), 1);
        const blocks = blocksOf.get(connection)!;
        blocksOf.delete(connection);
        arena.release(blocks.frame);
        arena.release(blocks.responses);
      },
    };
    endTurn = () => {
      if (!log.flush()) return;
      const flushed = logged;
      logged = leaving;
      leaving = flushed;
      for (const connection of leaving) marks.push(connection.markFlushed());
      for (const connection of connections) connection.resume();
    };
    writes = () => log.writes;
    const listener = listen(shim, "127.0.0.1", 0);
    if (!("fd" in listener)) throw new Error(listener.message);
    const onAccepted: Completion = {
      complete: (socket) => {
        check(socket, "accept");
        const blocks = {
          frame: arena.allocate(FRAME_SIZE_MAX),
          frameSizeMax: FRAME_SIZE_MAX,
          responses: arena.allocate(RESPONSES_SIZE),
        };
        check(Math.min(blocks.frame, blocks.responses), "allocate a connection's blocks");
        const connection = new MinimalConnection(shared, socket, blocks);
        connections.push(connection);
        blocksOf.set(connection, blocks);
      },
    };
    ring.accept(listener.fd, onAccepted);
    console.log(`ready kafka=127.0.0.1:${listener.port}`);
  }

  let endTurn = (): void => {};
  let writes = (): number => 0;
  let idle = false;
  const run = (): void => {
    for (let turn = 0; turn < TURNS_PER_RUN; turn++) {
      const completed = ring.turn(idle ? SLEEP_US : 0, 0);
      check(completed, "turn the ring");
      endTurn();
      const slept = idle;
      idle = completed === 0 && ring.prepared === 0;
      if (slept && completed === 0) break;
    }
    setImmediate(run);
  };
  Deno.addSignalListener("SIGTERM", () => {
    wakeRing(shim, RING);
    console.log(`writes=${writes()}`);
    Deno.exit(0);
  });
  run();
}

function check(result: number, what: string): void {
  if (result >= 0) return;
  console.error(`minimal_loop: cannot ${what} (errno ${-result})`);
  Deno.exit(1);
}

if (import.meta.main) {
  const [directory, mebibytes] = Deno.args;
  if (directory === undefined || !(Number(mebibytes) >= 4)) {
    console.error("usage: minimal_loop.ts DIR MIB");
    Deno.exit(64);
  }
  main(directory, Number(mebibytes) * MIB);
}
