import { strict as assert } from "node:assert";
import { Arena, ARENA_BLOCK_MIN } from "./arena.ts";

Deno.test("Arena asks for cached memory back before an allocation fails", () => {
  const arena = new Arena(0, 64 * ARENA_BLOCK_MIN);
  const cached: number[] = [];
  for (;;) {
    const address = arena.allocate(ARENA_BLOCK_MIN);
    if (address < 0) break;
    cached.push(address);
  }
  assert.equal(cached.length, 64);
  let asked = 0;
  arena.onShortage = () => {
    asked++;
    const address = cached.shift();
    if (address === undefined) return false;
    arena.release(address);
    return true;
  };
  const large = arena.allocate(arena.blockSizeMax);
  assert(large >= 0);
  assert.equal(cached.length, 64 - 8, "no more is given up than a large block needs");
  assert.equal(asked, 8);
  while (arena.allocate(arena.blockSizeMax) >= 0);
  assert.equal(cached.length, 0);
  arena.release(large);
  assert.equal(arena.freeBytes, arena.blockSizeMax);
});

Deno.test("Arena stops asking after a bounded number of gifts", () => {
  const arena = new Arena(0, 8 * ARENA_BLOCK_MIN);
  while (arena.allocate(ARENA_BLOCK_MIN) >= 0);
  let asked = 0;
  arena.onShortage = () => {
    asked++;
    return true;
  };
  assert.equal(arena.allocate(ARENA_BLOCK_MIN), -1);
  assert(asked > 0 && asked < 100, `asked ${asked} times`);
});
