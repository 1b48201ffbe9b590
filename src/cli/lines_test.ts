import { strict as assert } from "node:assert";
import { linesOf } from "./lines.ts";

async function lines(chunks: readonly string[]): Promise<string[][]> {
  const stream = ReadableStream.from(chunks.map((chunk) => new TextEncoder().encode(chunk)));
  const found: string[][] = [];
  for await (const some of linesOf(stream)) {
    found.push(some.map((line) => new TextDecoder().decode(line)));
  }
  return found;
}

Deno.test("linesOf() cuts at line ends, wherever the chunks are cut", async () => {
  assert.deepEqual(await lines(["a\nb\n"]), [["a", "b"]]);
  assert.deepEqual(await lines(["a\nb", "c\n", "d"]), [["a"], ["bc"], ["d"]]);
  assert.deepEqual(await lines(["a\r", "\n\r\n\n"]), [["a", "", ""]]);
  assert.deepEqual(await lines(["ab", "cd", "ef"]), [["abcdef"]]);
  assert.deepEqual(await lines([]), []);
});
