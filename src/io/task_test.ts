import { strict as assert } from "node:assert";
import { all, runTask, type Task, until } from "./task.ts";

Deno.test("all() runs any number of tasks that do not wait, and gives their results in order", () => {
  // deno-lint-ignore require-yield -- that is the point.
  function* at(n: number): Task<number> {
    return n;
  }
  const count = 200_000;
  let results: number[] = [];
  runTask(all(Array.from({ length: count }, (_, n) => at(n)), 100), (found) => results = found);
  assert.equal(results.length, count);
  assert(results.every((result, n) => result === n));
});

Deno.test("all() runs as many tasks at once as it may, whenever they end", () => {
  const waiting = new Map<number, () => void>();
  let most = 0;
  function* at(n: number): Task<number> {
    // Every third one does not wait.
    if (n % 3 === 0) return n;
    yield* until<void>((done) => {
      waiting.set(n, done);
      most = Math.max(most, waiting.size);
    });
    return n;
  }
  let results: number[] = [];
  runTask(all(Array.from({ length: 30 }, (_, n) => at(n)), 4), (found) => results = found);
  while (waiting.size > 0) {
    assert.equal(results.length, 0);
    // The latest first.
    const [n, done] = [...waiting].at(-1)!;
    waiting.delete(n);
    done();
  }
  assert.equal(most, 4);
  assert.deepEqual(results, Array.from({ length: 30 }, (_, n) => n));
  runTask(all<number>([], 4), (found) => results = found);
  assert.deepEqual(results, []);
});
