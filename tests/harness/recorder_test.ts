import { strict as assert } from "node:assert";
import { FrameSplitter, Recorder } from "./recorder.ts";

/** A request: size, API key 3, version 1, correlation id, no client id. */
function request(id: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.fromHex("0000000a00030001" + id.toString(16).padStart(8, "0") + "ffff");
}

function response(id: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.fromHex("00000005" + id.toString(16).padStart(8, "0") + "aa");
}

async function exactly(connection: Deno.Conn, size: number): Promise<string> {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size;) {
    const got = await connection.read(bytes.subarray(at));
    if (got === null) throw new Error(`ended after ${at} of ${size} bytes`);
    at += got;
  }
  return bytes.toHex();
}

Deno.test("FrameSplitter finds the same frames in pieces of any size", () => {
  const stream = new Uint8Array([...request(1), ...request(2), ...response(3)]);
  const wanted = [request(1), request(2), response(3)].map((frame) => frame.subarray(4).toHex());
  for (let size = 1; size <= stream.length; size++) {
    const found: string[] = [];
    const splitter = new FrameSplitter((bytes) => found.push(bytes.toHex()));
    for (let at = 0; at < stream.length; at += size) {
      assert.ok(splitter.push(stream.subarray(at, at + size)));
    }
    assert.deepEqual(found, wanted, `in pieces of ${size}`);
  }
});

Deno.test("FrameSplitter refuses what is no size", () => {
  for (const size of ["00000000", "ffffffff", "7fffffff"]) {
    assert.equal(new FrameSplitter(() => {}).push(Uint8Array.fromHex(size)), false);
  }
});

Deno.test("Recorder passes bytes on and pairs responses that come in another order", async () => {
  const broker = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const recorder = Recorder.listen();
  recorder.target = `127.0.0.1:${broker.addr.port}`;
  const [hostname, port] = recorder.address.split(":");
  const client = await Deno.connect({ hostname: hostname!, port: Number(port) });
  const served = await broker.accept();

  const requests = new Uint8Array([...request(7), ...request(8)]);
  await client.write(requests);
  assert.equal(await exactly(served, requests.length), requests.toHex());
  const responses = new Uint8Array([...response(8), ...response(7)]);
  await served.write(responses);
  assert.equal(await exactly(client, responses.length), responses.toHex());

  const frames = recorder.take();
  assert.deepEqual(
    frames.map(({ direction, apiKey, version, bytes }) => {
      return [direction, apiKey, version, bytes.toHex()];
    }),
    [
      ["request", 3, 1, request(7).subarray(4).toHex()],
      ["request", 3, 1, request(8).subarray(4).toHex()],
      ["response", 3, 1, response(8).subarray(4).toHex()],
      ["response", 3, 1, response(7).subarray(4).toHex()],
    ],
  );
  assert.deepEqual(recorder.take(), []);

  await served.write(response(9));
  await exactly(client, response(9).length);
  assert.equal(recorder.faults.length, 1);
  assert.match(recorder.faults[0]!, /response to nothing/);

  client.close();
  assert.equal(await served.read(new Uint8Array(1)), null);
  served.close();
  broker.close();
  await recorder.close();
});

Deno.test("Recorder keeps no more than it has room for, and says so", async () => {
  const broker = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const recorder = Recorder.listen();
  recorder.target = `127.0.0.1:${broker.addr.port}`;
  const [hostname, port] = recorder.address.split(":");
  const client = await Deno.connect({ hostname: hostname!, port: Number(port) });
  const served = await broker.accept();

  const size = 8 * 1024 * 1024;
  const large = new Uint8Array(4 + size);
  new DataView(large.buffer).setInt32(0, size);
  for (let i = 0; i < 10; i++) {
    const passed = exactly(served, large.length);
    for (let at = 0; at < large.length;) at += await client.write(large.subarray(at));
    await passed;
  }
  assert.equal(recorder.take().length, 8);
  assert.equal(recorder.faults.length, 1);
  assert.match(recorder.faults[0]!, /to keep/);

  client.close();
  assert.equal(await served.read(new Uint8Array(1)), null);
  served.close();
  broker.close();
  await recorder.close();
});
