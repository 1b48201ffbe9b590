/**
 * What a person reads when a cluster does not come together: wrong seeds, an id that is taken, nodes that are missing.
 * Each case is the real program; probes are asked over HTTP.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { EXIT_CANNOT_CREATE, EXIT_OK } from "../../src/base/exit_codes.ts";
import { gregorCommand, parseReadyLine, type ReadyLine, within } from "../harness/broker.ts";
import { freePorts } from "../harness/free_ports.ts";
import { OutputLines } from "../harness/output_lines.ts";

const SAYS_MS = 60_000;
const STOP_MS = 30_000;

interface Problem {
  readonly kind: string;
  readonly message: string;
  readonly remedy: string;
}

/** A broker that may never serve. */
class Node {
  readonly #child: Deno.ChildProcess;
  readonly #out: OutputLines;
  readonly #log: OutputLines;
  readonly #admin: string;

  constructor(
    dataDir: string,
    addresses: { readonly id: number; readonly rpc: number; readonly admin: number },
    seeds: readonly string[],
  ) {
    const { id, rpc, admin } = addresses;
    this.#admin = `127.0.0.1:${admin}`;
    const [program, ...args] = gregorCommand();
    this.#child = new Deno.Command(program!, {
      args: [
        ...args,
        "start",
        "--mode=dev",
        "--cores=1",
        "--memory=64MiB",
        `--data-dir=${dataDir}`,
        `--node-id=${id}`,
        "--kafka-addr=127.0.0.1:0",
        `--rpc-addr=127.0.0.1:${rpc}`,
        `--admin-addr=${this.#admin}`,
        ...(seeds.length === 0 ? [] : [`--seeds=${seeds.join(",")}`]),
      ],
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#out = new OutputLines(this.#child.stdout);
    this.#log = new OutputLines(this.#child.stderr);
  }

  get log(): string {
    return this.#log.text;
  }

  async ready(): Promise<ReadyLine> {
    const ready = parseReadyLine(await this.#out.firstLine(SAYS_MS) ?? "");
    assert.ok(ready !== null, `not ready\n${this.log}`);
    return ready;
  }

  async says(pattern: RegExp): Promise<void> {
    const deadlineMs = performance.now() + SAYS_MS;
    while (!pattern.test(this.log)) {
      assert.ok(performance.now() < deadlineMs, `never says ${pattern}\n${this.log}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** What a probe is told; code 0: nobody answers yet. */
  async probe(): Promise<
    {
      readonly code: number;
      readonly problems: readonly Problem[];
      readonly warnings: readonly Problem[];
    }
  > {
    const response = await fetch(`http://${this.#admin}/v1/status/ready`).catch(() => null);
    if (response === null) return { code: 0, problems: [], warnings: [] };
    const { problems = [], warnings = [] } = await response.json();
    return { code: response.status, problems, warnings };
  }

  /** Until a probe is told of a problem or a warning whose words match. */
  async reports(pattern: RegExp): Promise<{ readonly code: number; readonly problem: Problem }> {
    const deadlineMs = performance.now() + SAYS_MS;
    for (;;) {
      const { code, problems, warnings } = await this.probe();
      const problem = [...problems, ...warnings].find(({ message }) => pattern.test(message));
      if (problem !== undefined) return { code, problem };
      const told = JSON.stringify([problems, warnings]);
      assert.ok(performance.now() < deadlineMs, `no ${pattern} in ${told}\n${this.log}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** By itself, or by `signal`. */
  async ended(signal: Deno.Signal | null = null): Promise<number> {
    try {
      if (signal !== null) this.#child.kill(signal);
    } catch (error) {
      // It has ended already.
      if (!(error instanceof TypeError) && !(error instanceof Deno.errors.NotFound)) throw error;
    }
    const status = await within(this.#child.status, STOP_MS);
    if (status === null) {
      this.#child.kill("SIGKILL");
      assert.fail(`still there after ${STOP_MS} ms\n${this.log}`);
    }
    await Promise.all([this.#out.ended, this.#log.ended]);
    return status.code;
  }
}

/** Folders and ports for some nodes, which are stopped and removed at the end. */
class Room {
  readonly #folder = Deno.makeTempDirSync({ prefix: "gregor-words-" });
  readonly #nodes: Node[] = [];
  readonly rpc: readonly number[];
  readonly #admin: readonly number[];

  constructor(places: number) {
    this.rpc = freePorts(places);
    this.#admin = freePorts(places);
  }

  /** `127.0.0.1:PORT` of the places. */
  seeds(...places: number[]): string[] {
    return places.map((place) => `127.0.0.1:${this.rpc[place]}`);
  }

  start(place: number, seeds: readonly string[], id = place): Node {
    const node = new Node(
      `${this.#folder}/${place}`,
      { id, rpc: this.rpc[place]!, admin: this.#admin[place]! },
      seeds,
    );
    this.#nodes.push(node);
    return node;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#nodes.map((node) => node.ended("SIGKILL")));
    Deno.removeSync(this.#folder, { recursive: true });
  }
}

Deno.test("a node whose seeds do not answer says which and why, is not ready, and stops at a signal", async () => {
  await using room = new Room(2);
  const node = room.start(0, room.seeds(0, 1));
  const [, silent] = room.seeds(0, 1);
  await node.says(/Waiting for the other nodes .*why="no answer yet from/);
  const { code, problem } = await node.reports(/no answer yet from/);
  assert.equal(code, 503);
  assert.equal(
    problem.message,
    `Not started yet: no answer yet from ${silent} (nobody listens there)`,
  );
  assert.equal(await node.ended("SIGTERM"), EXIT_OK);
  assert.match(node.log, /Stopped while waiting for the other nodes; nothing was served/);
});

Deno.test("a seed that is the Kafka or the admin address of a node is named as none", async () => {
  await using room = new Room(2);
  const alone = room.start(0, []);
  const { kafka, admin } = await alone.ready();
  const node = room.start(1, [...room.seeds(1), kafka, admin]);
  const hint = "; is that the --rpc-addr of a node\\?";
  await node.reports(
    new RegExp(`no answer yet from ${kafka} \\([^)]*${hint}\\), ${admin} \\([^)]*${hint}\\)`),
  );
  // The other one says so, too.
  await alone.says(
    /Closed a connection .*why="it is a node of a cluster that looks for another one: its --seeds/,
  );
});

Deno.test("a node with an id that is taken does not start, and says where the other one is", async () => {
  await using room = new Room(2);
  const first = room.start(0, room.seeds(0));
  await first.ready();
  const second = room.start(1, room.seeds(0, 1), 0);
  assert.equal(await second.ended(), EXIT_CANNOT_CREATE);
  assert.match(
    second.log,
    new RegExp(
      `this node and the one at ${
        room.seeds(0)
      } both have the id 0: start one of them with another ` +
        "--node-id \\(and an empty data directory\\)",
    ),
  );
});

Deno.test("seeds of two clusters are refused; a node of one that is given a seed of another says so", async () => {
  await using room = new Room(3);
  const a = room.start(0, room.seeds(0));
  const b = room.start(1, room.seeds(1), 1);
  await Promise.all([a.ready(), b.ready()]);
  const third = room.start(2, room.seeds(0, 1, 2), 2);
  assert.equal(await third.ended(), EXIT_CANNOT_CREATE);
  assert.match(
    third.log,
    /the seeds belong to different clusters, 127\.0\.0\.1:\d+ to [\w-]{22} and 127\.0\.0\.1:\d+ to [\w-]{22}: name the nodes of one cluster/,
  );
  assert.equal(await b.ended("SIGTERM"), EXIT_OK);
  const again = room.start(1, room.seeds(1, 0), 1);
  await again.ready();
  await again.says(
    /this node belongs to the cluster [\w-]{22}, and the seed 127\.0\.0\.1:\d+ to [\w-]{22}: correct --seeds/,
  );
});

Deno.test("founders with different seeds found nothing, and ask whether all have the same", async () => {
  await using room = new Room(3);
  const nodes = [
    room.start(0, room.seeds(0, 1)),
    room.start(1, room.seeds(0, 1, 2)),
    room.start(2, room.seeds(0, 1, 2)),
  ];
  const [proposer, other] = nodes;
  await proposer!.reports(
    /nodes 1 have not agreed to found a cluster of these seeds; do all have the same --seeds\?/,
  );
  await other!.reports(
    /node 0 has not proposed a cluster of these seeds; do all have the same --seeds\?/,
  );
  for (const node of nodes) assert.equal((await node.probe()).code, 503);
});

Deno.test("a node without a majority says which nodes it waits for, at its start and when it loses them", async () => {
  await using room = new Room(3);
  const seeds = room.seeds(0, 1, 2);
  const nodes = [0, 1, 2].map((place) => room.start(place, seeds));
  await Promise.all(nodes.map((node) => node.ready()));
  const [first, second, third] = nodes;
  assert.equal((await first!.probe()).code, 200);

  // One is missing: the others serve, and say so.
  await third!.ended("SIGKILL");
  const missing = await first!.reports(/^Node 2 cannot be reached$/);
  assert.equal(missing.code, 200);
  assert.match(missing.problem.remedy, /gregor cluster nodes/);
  await first!.says(/WARN +Node 2 cannot be reached/);

  // Two are missing: nobody leads.
  await second!.ended("SIGKILL");
  const lost = await first!.reports(/^No node leads the cluster's metadata/);
  assert.equal(lost.code, 503);
  assert.match(lost.problem.remedy, /start the nodes that are missing/);

  // It starts alone: it waits, with the names of those that it needs.
  assert.equal(await first!.ended("SIGTERM"), EXIT_OK, first!.log);
  const alone = room.start(0, seeds);
  const waits = "the cluster's metadata needs 2 of its 3 nodes, and only this one is here; " +
    `not reached: node 1 \\(${seeds[1]}\\), node 2 \\(${seeds[2]}\\)`;
  assert.equal((await alone.reports(new RegExp(waits))).code, 503);
  await alone.says(new RegExp(`Waiting for the other nodes .*why="${waits}"`));
  const back = room.start(1, seeds);
  await Promise.all([alone.ready(), back.ready()]);
  assert.equal((await alone.probe()).code, 200);
});
