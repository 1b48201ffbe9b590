import { strict as assert } from "node:assert";
import { EventLog } from "./event_log.ts";

Deno.test("events are lines; a storm of them is a few lines and a count", () => {
  const lines: string[] = [];
  let nowMs = 0;
  const due: { run: () => void; atMs: number }[] = [];
  const log = new EventLog({
    logger: {
      log: (_level, message, fields) => lines.push(`${message} ${JSON.stringify(fields)}`),
    },
    nowMs: () => nowMs,
    later: (run, ms) => due.push({ run, atMs: nowMs + ms }),
  });
  const advance = (ms: number): void => {
    nowMs += ms;
    for (const one of due.splice(0)) one.atMs <= nowMs ? one.run() : due.push(one);
  };
  log.note("Topic created", { topic: "orders" });
  assert.deepEqual(lines, ['Topic created {"topic":"orders"}']);
  for (let i = 0; i < 10_000; i++) log.note("Topic created", { topic: `t${i}` });
  log.note("Topic deleted", { topic: "orders" });
  assert.equal(lines.length, 21);
  assert.match(lines.at(-1)!, /^Topic deleted/, "another kind is another matter");
  advance(10_000);
  assert.equal(lines.at(-1), 'Topic created, and more like it {"more":9981}');
  for (let i = 0; i < 100; i++) log.note("Topic created", { topic: `u${i}` });
  advance(10_000);
  assert.equal(lines.length, 24);
  assert.equal(lines.at(-1), 'Topic created, and more like it {"more":99}');
  advance(60_000);
  log.note("Topic created", { topic: "quiet" });
  assert.equal(lines.length, 25);
  assert.equal(due.length, 0);
});
