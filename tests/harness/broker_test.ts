import { strict as assert } from "node:assert";
import { Broker, type BrokerOptions, gregorCommand, parseReadyLine } from "./broker.ts";

const program = [
  Deno.execPath(),
  "run",
  "-A",
  new URL("fake_broker.ts", import.meta.url).pathname,
];

function fake(mode: string, more: BrokerOptions = {}): BrokerOptions {
  return { program, env: { FAKE_MODE: mode }, ...more };
}

Deno.test("Broker starts on free ports, restarts on the same ones with other cores", async () => {
  const broker = await Broker.start(fake("serve", { cores: 1 }));
  assert.equal(broker.kafka, "127.0.0.1:19");
  assert.equal(broker.ready.fields["cores"], "1");
  assert.match(broker.stderr, /--kafka-addr=127\.0\.0\.1:0 /);
  const firstPid = broker.pid;
  await broker.restart({ cores: 4 });
  assert.notEqual(broker.pid, firstPid);
  assert.equal(broker.ready.fields["cores"], "4");
  assert.match(broker.stderr, /--kafka-addr=127\.0\.0\.1:19 --rpc-addr=127\.0\.0\.1:0 /);
  assert.deepEqual(await broker.stop(), { code: 0, signal: null });
  await broker.dispose();
  assert.throws(() => Deno.statSync(broker.dataDir), Deno.errors.NotFound);
});

Deno.test("Broker.kill() ends the process without its help", async () => {
  await using broker = await Broker.start(fake("stubborn"));
  const exit = await broker.kill();
  assert.equal(exit.signal, "SIGKILL");
  assert.throws(() => Deno.kill(broker.pid, "SIGCONT"));
});

Deno.test("Broker.stop() kills and throws when SIGTERM is not obeyed in time", async () => {
  await using broker = await Broker.start(fake("stubborn"));
  await assert.rejects(broker.stop(100), /still there after 100 ms/);
  assert.equal((await broker.exited).signal, "SIGKILL");
});

Deno.test("Broker.start() reports exit code and stderr when the broker ends at once", async () => {
  await assert.rejects(Broker.start(fake("fail")), /exit code 71[^]*fake fail start --mode=dev/);
});

Deno.test("Broker.start() gives up and kills when no ready line comes", async () => {
  await assert.rejects(
    Broker.start(fake("silent", { readyTimeoutMs: 500 })),
    /no line on stdout, after 500 ms/,
  );
});

Deno.test("parseReadyLine() refuses other lines and lines without an address", () => {
  assert.equal(parseReadyLine("listening on 9092"), null);
  assert.equal(parseReadyLine("ready kafka=127.0.0.1:1 rpc=127.0.0.1:2"), null);
  assert.equal(
    parseReadyLine("ready kafka=a:1 rpc=b:2 admin=c:3 node=7")?.fields["node"],
    "7",
  );
});

Deno.test("gregorCommand() runs main.ts with this Deno and the task's V8 flags", () => {
  const command = gregorCommand();
  assert.equal(command[0], Deno.execPath());
  assert.ok(command.some((word) => word.startsWith("--v8-flags=")));
  assert.match(command.at(-1)!, /^\/.*\/main\.ts$/);
});
