/**
 * Files that are gone, cut or in the way when a broker starts: it says which, and serves everything that was not in
 * there. Every file and every kind of harm is gone through in simulations (`tests/sim/any_damage_test.ts`); these
 * are the ones that a file system of its own must be seen to bear.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { Broker } from "../harness/broker.ts";
import { DiskImage } from "./disk_image.ts";
import { SMALL_RINGS } from "./faulty_broker.ts";
import { logSays } from "./link.ts";
import { PlainLoad } from "./plain_load.ts";
import { createTopic, deleteTopic } from "./side_loads.ts";

interface Harm {
  readonly what: string;
  /** Does it below the data directory; returns the path that must be named. */
  readonly act: (root: string, image: DiskImage) => string;
}

const HARMS: readonly Harm[] = [
  {
    what: "a checkpoint slot is gone",
    act: (root, { manifest }) => {
      const path = manifest.shards[0]!.checkpoints[0];
      Deno.removeSync(`${root}/${path}`);
      return path;
    },
  },
  {
    what: "a directory lies in the place of a checkpoint slot",
    act: (root, { manifest }) => {
      const path = manifest.shards[1]!.checkpoints[1];
      Deno.removeSync(`${root}/${path}`);
      Deno.mkdirSync(`${root}/${path}`);
      return path;
    },
  },
  {
    what: "a journal file that no start needs is gone",
    act: (root, { manifest }) => {
      const path = manifest.shards[0]!.extents.at(-1)!;
      Deno.removeSync(`${root}/${path}`);
      return path;
    },
  },
  {
    what: "a journal file is cut",
    act: (root, { manifest }) => {
      const path = manifest.shards[1]!.extents.at(-1)!;
      Deno.truncateSync(`${root}/${path}`, 10_000);
      return path;
    },
  },
  {
    what: "a file lies among the logs",
    act: (root) => {
      Deno.writeTextFileSync(`${root}/logs/notes.txt`, "mine");
      return "logs/notes.txt";
    },
  },
  {
    what: "files lie among the journals, and in a log's directory",
    act: (root, image) => {
      Deno.writeTextFileSync(`${root}/shards/notes.txt`, "mine");
      const [segment] = image.segments("load", 0);
      const path = segment!.replace(/[^/]*$/, "notes.txt");
      Deno.writeTextFileSync(`${root}/${path}`, "mine");
      return path;
    },
  },
  {
    what: "a directory that no partition has lies among the logs",
    act: (root) => {
      Deno.mkdirSync(`${root}/logs/backup-of-load`);
      Deno.writeTextFileSync(`${root}/logs/backup-of-load/00000000000000000000-1-1-1.log`, "mine");
      return "logs/backup-of-load";
    },
  },
  {
    what: "files lie beside the manifest",
    act: (root) => {
      Deno.writeTextFileSync(`${root}/README`, "mine");
      return "README";
    },
  },
];

Deno.test("Files that are gone, cut or not Gregor's are named, and cost nothing that no start needs", async () => {
  await using broker = await Broker.start({ cores: 2, flags: SMALL_RINGS });
  await using load = await PlainLoad.start(broker, { partitions: 4 });
  await load.ackMore(300);
  for (const { what, act } of HARMS) {
    await load.drain();
    assert.equal((await broker.stop()).code, 0, what);
    const path = act(broker.dataDir, new DiskImage(broker.dataDir));
    await broker.restart();
    await logSays(broker, new RegExp(path.replaceAll(".", "\\.")));
    assert.doesNotMatch(broker.stderr, /read-only/, what);
    load.resume();
    await load.ackMore(50);
    await load.verify();
  }
  for (const path of ["logs/notes.txt", "logs/backup-of-load", "shards/notes.txt", "README"]) {
    assert.ok(Deno.statSync(`${broker.dataDir}/${path}`), path);
  }
});

Deno.test("A deleted topic's directory with something in it stays, is reported once, and holds up nothing", async () => {
  await using broker = await Broker.start({ cores: 1, flags: SMALL_RINGS });
  await using load = await PlainLoad.start(broker, { partitions: 1 });
  await createTopic(load.link, "doomed", 1);
  await load.ackMore(50);
  const name = [...Deno.readDirSync(`${broker.dataDir}/logs`)]
    .map((entry) => entry.name).find((each) => each.startsWith("doomed-0."))!;
  Deno.writeTextFileSync(`${broker.dataDir}/logs/${name}/notes.txt`, "mine");
  await deleteTopic(load.link, "doomed");
  await logSays(broker, /Kept the directory of a deleted partition/);
  await load.ackMore(200);
  assert.equal(broker.stderr.split("Kept the directory").length, 2);
  assert.equal(Deno.readTextFileSync(`${broker.dataDir}/logs/${name}/notes.txt`), "mine");
  await load.verify();
});
