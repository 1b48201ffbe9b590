import { strict as assert } from "node:assert";
import { wrapMemory } from "../bytes/memory.ts";
import {
  CALLS_PER_PAIR_MAX,
  MAILBOX_SLOTS,
  Mailboxes,
  mailboxesSize,
  messageArgument,
} from "./mailbox.ts";

function pair(): {
  readonly a: Mailboxes;
  readonly b: Mailboxes;
  readonly region: ArrayBuffer;
} {
  const region = new ArrayBuffer(mailboxesSize(2));
  const memory = wrapMemory(region);
  return { a: new Mailboxes(memory, 0, 0, 2), b: new Mailboxes(memory, 0, 1, 2), region };
}

function drain(mailboxes: Mailboxes): string[] {
  const seen: string[] = [];
  mailboxes.drain({
    onMessage: (from, type, call, view, at) =>
      seen.push(`${from}:${type}/${call}(${messageArgument(view, at, 0)})`),
  });
  return seen;
}

Deno.test("Mailboxes deliver in order, and only what was published", () => {
  const { a, b } = pair();
  a.send(1, 5, 7, 2 ** 52 + 1);
  a.send(1, 6, 8, -1);
  assert.deepEqual(drain(b), []);
  a.publish(() => assert.fail("nobody sleeps"));
  assert.deepEqual(drain(b), [`0:5/7(${2 ** 52 + 1})`, "0:6/8(-1)"]);
  assert.deepEqual(drain(b), []);
});

Deno.test("Mailboxes wrap around their rings for ever", () => {
  const { a, b } = pair();
  for (let round = 0; round < 5; round++) {
    for (let i = 0; i < MAILBOX_SLOTS - 1; i++) a.send(1, 1, i, round);
    a.publish(() => {});
    assert.equal(drain(b).length, MAILBOX_SLOTS - 1);
  }
});

Deno.test("Mailboxes refuse more messages than a ring holds", () => {
  const { a } = pair();
  for (let i = 0; i < MAILBOX_SLOTS; i++) a.send(1, 1, i);
  assert.throws(() => a.send(1, 1, 0), /overflowed/);
});

Deno.test("Mailboxes.roomForNotices() leaves room for calls", () => {
  const { a, b } = pair();
  assert.equal(a.roomForNotices(1), CALLS_PER_PAIR_MAX / 2);
  for (let i = 0; i < CALLS_PER_PAIR_MAX; i++) a.send(1, 1, i);
  assert.equal(a.roomForNotices(1), 0);
  a.publish(() => {});
  drain(b);
  assert.equal(a.roomForNotices(1), CALLS_PER_PAIR_MAX / 2);
});

Deno.test("Mailboxes.prepareToSleep() is refused while a message waits", () => {
  const { a, b } = pair();
  a.send(1, 1, 1);
  a.publish(() => assert.fail("nobody sleeps"));
  assert.equal(b.prepareToSleep(), false);
  drain(b);
  assert.equal(b.prepareToSleep(), true);
});

Deno.test("Mailboxes.publish() rings only who sleeps, not who polls", () => {
  const { a, b, region } = pair();
  const rung: number[] = [];
  assert(b.prepareToSleep());
  a.send(1, 1, 1);
  a.publish((shard) => rung.push(shard));
  assert.equal(rung.length, 0, "a polling shard sees its word change");
  drain(b);
  assert(b.prepareToSleep());
  // What the shim does before it sleeps.
  const words = new Int32Array(region, b.watchedAddress, 1);
  assert.equal(Atomics.compareExchange(words, 0, 2, 1), 2);
  a.send(1, 1, 2);
  a.publish((shard) => rung.push(shard));
  a.send(1, 1, 3);
  a.publish((shard) => rung.push(shard));
  assert.deepEqual(rung, [1], "once is enough");
  assert.equal(drain(b).length, 2);
});
