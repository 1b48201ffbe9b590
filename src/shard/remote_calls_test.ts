import { strict as assert } from "node:assert";
import { Arena } from "../bytes/arena.ts";
import { wrapMemory } from "../bytes/memory.ts";
import { runTask } from "../io/task.ts";
import { Calls } from "./calls.ts";
import { CALLS_PER_PAIR_MAX, MAILBOX_SLOTS, Mailboxes, mailboxesSize } from "./mailbox.ts";
import { MessageType } from "./messages.ts";
import { Outbox } from "./outbox.ts";
import { type ServeRemote, ShardRemoteCalls } from "./remote_calls.ts";
import { ShardMemory } from "./shard_memory.ts";

const ARENA = 32 * 2 ** 20;
const CALLER = { clientId: "test", clientHost: "/127.0.0.1" };

/** Two shards that do nothing but call each other. */
class CallingPair {
  readonly mailboxes: Mailboxes[];
  readonly blocks: ShardMemory[];
  readonly calls: Calls[];
  readonly outboxes: Outbox[];
  readonly remote: ShardRemoteCalls[];
  serve: ServeRemote = () => assert.fail("nobody serves");

  constructor() {
    const memory = wrapMemory(new ArrayBuffer(mailboxesSize(2) + 2 * ARENA));
    const shards = [0, 1];
    this.mailboxes = shards.map((shard) => new Mailboxes(memory, 0, shard, 2));
    this.blocks = shards.map((shard) =>
      new ShardMemory(new Arena(mailboxesSize(2) + shard * ARENA, ARENA), 2 ** 20)
    );
    this.calls = this.mailboxes.map((mailboxes) => new Calls(mailboxes));
    this.outboxes = this.mailboxes.map((mailboxes) => new Outbox(mailboxes));
    this.remote = shards.map((shard) =>
      new ShardRemoteCalls({
        memory,
        blocks: this.blocks[shard]!,
        calls: this.calls[shard]!,
        outbox: this.outboxes[shard]!,
      })
    );
  }

  call(body: number, done: (answer: number) => void): void {
    const task = this.remote[0]!.call(1, 3, 0, CALLER, new Uint8Array([body]));
    runTask(task, (response) => done(response![0]!));
  }

  turn(shard: number): void {
    const remote = this.remote[shard]!;
    this.mailboxes[shard]!.drain({
      onMessage: (from, type, call, view, at) => {
        if (type === MessageType.CALL) remote.onCall(from, call, view, at, this.serve);
        else if (type === MessageType.RELEASE_BLOCK) remote.onRelease(view, at);
        else if (type === MessageType.CALL_TAKEN) this.calls[shard]!.taken(from, call);
        else if (type === MessageType.CALL_PART) {
          this.calls[shard]!.find(call).onPart!(from, view, at);
        } else this.calls[shard]!.reply(from, call, view, at);
      },
    });
    this.outboxes[shard]!.flush();
    this.blocks[shard]!.resumeWaiting(Infinity);
    this.mailboxes[shard]!.publish(() => {});
  }

  run(turns: number): void {
    for (let i = 0; i < turns; i++) {
      this.turn(0);
      this.turn(1);
    }
  }
}

Deno.test("calls that are answered late leave credits and memory to others", () => {
  const pair = new CallingPair();
  const late: (() => void)[] = [];
  pair.serve = (_key, _version, _caller, body, done) => {
    if (body[0] === 1) late.push(() => done(body));
    else done(body);
  };
  const many = 10 * CALLS_PER_PAIR_MAX;
  let lateAnswers = 0;
  for (let i = 0; i < many; i++) pair.call(1, () => lateAnswers++);
  pair.run(40);
  assert.equal(late.length, many, "each was taken up");
  assert.equal(pair.blocks[0]!.responses.used, 0, "no question is kept until its answer");
  let prompt = 0;
  pair.call(2, (answer) => prompt = answer);
  pair.run(2);
  assert.equal(prompt, 2);
  // All at once, as when the last member has joined: more than a ring holds.
  assert(many > MAILBOX_SLOTS);
  for (const answer of late) answer();
  pair.run(40);
  assert.equal(lateAnswers, many);
  assert.deepEqual(pair.blocks.map((each) => each.responses.used), [0, 0]);
});

Deno.test("an answer that is larger than a block may be comes in parts, whole, beside others", () => {
  const pair = new CallingPair();
  const sizes = [pair.blocks[1]!.responseSizeMax + 1, 5 * pair.blocks[1]!.responseSizeMax, 7, 0];
  const answers = sizes.map((size, i) =>
    new Uint8Array(size).map((_, at) => (at * (i + 3)) & 0xff)
  );
  pair.serve = (_key, _version, _caller, body, done) => done(answers[body[0]!]!);
  const got: (Uint8Array | null)[] = [];
  for (const i of sizes.keys()) {
    const task = pair.remote[0]!.call(1, 3, 0, CALLER, new Uint8Array([i]));
    runTask(task, (response) => got[i] = response);
  }
  pair.run(3);
  assert.deepEqual(got[2], answers[2], "a small answer does not wait for large ones");
  assert.ok(pair.blocks[1]!.responses.used <= 4 * 2 ** 20, "one part of each at a time");
  pair.run(60);
  for (const [i, answer] of answers.entries()) assert.ok(got[i] !== null && same(got[i]!, answer));
  assert.deepEqual(pair.blocks.map((each) => each.responses.used), [0, 0]);
  assert.ok(pair.calls[0]!.hasCredit(1));
});

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}

Deno.test("Outbox keeps what a ring has no room for, in order", () => {
  const pair = new CallingPair();
  const [outbox] = pair.outboxes;
  const seen: number[] = [];
  const drain = (): void => {
    pair.mailboxes[1]!.drain({
      onMessage: (_from, _type, _call, view, at) => seen.push(view.getFloat64(at + 8, true)),
    });
  };
  const count = 3 * MAILBOX_SLOTS;
  for (let i = 0; i < count; i++) outbox!.send(1, MessageType.FETCH_RELEASE, 0, i);
  for (let i = 0; !outbox!.flush(); i++) {
    assert(i < 100, "the outbox does not empty");
    assert(pair.calls[0]!.hasCredit(1));
    // Room for calls is left beside it.
    pair.mailboxes[0]!.send(1, MessageType.CALL, 0, -1);
    pair.mailboxes[0]!.publish(() => {});
    drain();
  }
  pair.mailboxes[0]!.publish(() => {});
  drain();
  const releases = seen.filter((value) => value >= 0);
  assert.deepEqual(releases, Array.from({ length: count }, (_, i) => i));
});
