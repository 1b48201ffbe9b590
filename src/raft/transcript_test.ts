/**
 * Scripts with the trace that they must give, in `transcripts/`: the protocol, to be read. A line that begins with
 * `>` is a command, the lines after it are what happens, with the simulated time in ms.
 *
 * `GREGOR_REWRITE=1` writes what happens into the files; read the difference before it is committed.
 *
 *     nodes 1 2 3 [spare 4]   run MS                propose NODE COUNT      crash NODE [silent]   restart NODE
 *     part A B   isolate N    block FROM TO         heal                    freeze N    thaw N    stall N
 *     transfer NODE TO        members NODE 1 2 / 3  cancel NODE             trim NODE INDEX       read NODE
 *     show heartbeats
 */

import { strict as assert } from "node:assert";
import { members, simple, TestCluster } from "./test_cluster.ts";

const FOLDER = new URL("transcripts/", import.meta.url);

class Player {
  #cluster: TestCluster | null = null;
  #showsHeartbeats = false;

  play(command: string): string[] {
    const [verb, ...words] = command.split(" ");
    const numbers = words.map(Number);
    const [a, b] = numbers;
    if (verb === "nodes") {
      const at = words.includes("spare") ? words.indexOf("spare") : words.length;
      const voters = numbers.slice(0, at);
      const nodes = [...voters, ...numbers.slice(at + 1)];
      this.#cluster = new TestCluster(simple(...voters), { nodes });
      this.#cluster.lines = [];
      this.#cluster.start();
      return [];
    }
    const cluster = this.#cluster!;
    const node = cluster.nodes.get(a!);
    const result: string[] = [];
    const note = (outcome: number): void => {
      node!.after();
      if (outcome < 0) result.push(`refused ${outcome}`);
    };
    switch (verb) {
      case "run":
        cluster.run(a!);
        break;
      case "propose":
        if (node!.propose(Array.from({ length: b! }, (_, at) => at)) === 0) {
          result.push("not taken");
        }
        break;
      case "crash":
        cluster.crash(a!, words.includes("silent"));
        break;
      case "restart":
        cluster.restart(a!);
        break;
      case "part":
        cluster.part(a!, b!);
        break;
      case "isolate":
        cluster.isolate(a!);
        break;
      case "block":
        cluster.block(a!, b!);
        break;
      case "heal":
        cluster.heal();
        break;
      case "freeze":
        cluster.freeze(a!);
        break;
      case "thaw":
        cluster.thaw(a!);
        break;
      case "stall":
        node!.group.stalled(true, node!.now);
        node!.after();
        break;
      case "transfer":
        note(node!.group.transfer(b!, node!.now));
        break;
      case "members": {
        const at = words.includes("/") ? words.indexOf("/") : words.length;
        const voters = members(...numbers.slice(1, at));
        const learners = members(...numbers.slice(at + 1));
        note(node!.group.proposeConfiguration(voters, learners, node!.now));
        break;
      }
      case "cancel":
        note(node!.group.cancelConfiguration(node!.now));
        break;
      case "trim":
        node!.log.trim(node!.log.pointAt(b!));
        node!.after();
        break;
      case "read":
        node!.read();
        break;
      case "show":
        this.#showsHeartbeats = true;
        break;
      default:
        throw new Error(`no command ${verb}`);
    }
    const lines = cluster.lines!.splice(0);
    const shown = lines.filter((line) => this.#showsHeartbeats || !/ heartbeat/.test(line));
    return [...shown, ...result];
  }
}

for (const { name } of [...Deno.readDirSync(FOLDER)].sort((a, b) => a.name < b.name ? -1 : 1)) {
  Deno.test(`transcript: ${name}`, async () => {
    const url = new URL(name, FOLDER);
    const text = await Deno.readTextFile(url);
    const player = new Player();
    const played: string[] = [];
    for (const line of text.trimEnd().split("\n")) {
      if (line.startsWith("#") || line === "") played.push(line);
      if (line.startsWith("> ")) played.push(line, ...player.play(line.slice(2)));
    }
    const actual = played.join("\n") + "\n";
    if (Deno.env.get("GREGOR_REWRITE") === "1") await Deno.writeTextFile(url, actual);
    else assert.equal(actual, text);
  });
}
