/**
 * What carries the one file to a host: the systemd unit, the Debian package, the container image, the Kubernetes
 * manifests. Each is checked by its own tools, as far as a machine without systemd, Docker and Kubernetes can.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import { VERSION } from "../../src/cli/version.ts";
import { Broker } from "../harness/broker.ts";
import { compiled, EmptyRoot, STRANGER } from "./compiled.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const UNIT = `${ROOT}packaging/gregor.service`;
/** Where Kubernetes' own schemas come from: a Python package that contains them. */
const VALIDATOR = "kubernetes-validate==1.37.0";

interface Outcome {
  readonly code: number;
  readonly output: string;
}

async function run(command: readonly string[], timeoutMs = 60_000): Promise<Outcome> {
  const { code, stdout, stderr } = await new Deno.Command(command[0]!, {
    args: command.slice(1),
    cwd: ROOT,
    env: { NO_COLOR: "1" },
    stdin: "null",
    signal: AbortSignal.timeout(timeoutMs),
  }).output();
  const decoder = new TextDecoder();
  return { code, output: decoder.decode(stdout) + decoder.decode(stderr) };
}

async function succeeds(command: readonly string[], timeoutMs?: number): Promise<string> {
  const { code, output } = await run(command, timeoutMs);
  assert.equal(code, 0, `${command.join(" ")}\n${output}`);
  return output;
}

/** Runs a script where writes to `/` go to memory, and are gone afterwards. Needs root. */
function inThrowawayRoot(script: string): Promise<string> {
  const enter = `set -e
top=$(mktemp -d)
trap 'umount -l "$top" && rmdir "$top"' EXIT
mount -t tmpfs -o size=600m top "$top"
mkdir "$top/upper" "$top/work" "$top/root"
mount -t overlay -o "lowerdir=/,upperdir=$top/upper,workdir=$top/work" overlay "$top/root"
mount --rbind /proc "$top/root/proc"
mount --rbind /dev "$top/root/dev"
chroot "$top/root" sh -ec "$1"`;
  return succeeds(["unshare", "--mount", "sh", "-c", enter, "sh", script]);
}

Deno.test("systemd accepts the unit, and it tells what the broker needs", async () => {
  const folder = Deno.makeTempDirSync({ prefix: "gregor-unit-" });
  try {
    // The program that the unit names is not installed here.
    const unit = Deno.readTextFileSync(UNIT);
    const here = unit.replace("/usr/bin/gregor", await compiled());
    Deno.writeTextFileSync(`${folder}/gregor.service`, here);
    const said = await succeeds(["systemd-analyze", "verify", `${folder}/gregor.service`]);
    assert.doesNotMatch(said, /gregor/, said);
    for (const line of ["Type=notify", "LimitMEMLOCK=infinity", "User=gregor"]) {
      assert.ok(unit.split("\n").includes(line), line);
    }
    assert.equal(unit.match(/^ExecStart=(.*)$/m)?.[1], "/usr/bin/gregor start");
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

Deno.test("the service manager hears how the start goes, when the broker serves and when it stops", async () => {
  const folder = Deno.makeTempDirSync({ prefix: "gregor-notify-" });
  try {
    // The alarm ends it, whatever becomes of the test.
    const listen = `import signal, socket
signal.alarm(120)
heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
heard.bind("${folder}/notify")
print("listening", flush=True)
text = ""
while not text.startswith("STOPPING"):
  text = heard.recv(4096).decode().replace("\\n", "|")
  print(text, flush=True)`;
    const listener = new Deno.Command("python3", {
      args: ["-c", listen],
      stdout: "piped",
    }).spawn();
    const lines = linesOf(listener.stdout);
    assert.equal((await lines.next()).value, "listening");
    await using broker = await Broker.start({
      program: [await compiled()],
      cores: 1,
      env: { NOTIFY_SOCKET: `${folder}/notify` },
    });
    const before: string[] = [];
    let ready = (await lines.next()).value ?? "";
    for (; !ready.startsWith("READY=1"); ready = (await lines.next()).value ?? "READY=1") {
      before.push(ready);
    }
    assert.equal(ready, `READY=1|STATUS=Serving clients at ${broker.kafka}`);
    // What the log says while it starts.
    assert.ok(before.includes("STATUS=Memory limits the size of requests"), before.join());
    await broker.stop();
    assert.match((await lines.next()).value ?? "", /^STOPPING=1\|/);
    assert.equal((await listener.status).code, 0);
    assert.ok((await lines.next()).done);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, undefined> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
}

Deno.test("the Debian package is installed, makes its user, runs, and is removed", async () => {
  await compiled();
  await succeeds([Deno.execPath(), "task", "--quiet", "deb"]);
  const deb = `${ROOT}dist/gregor_${VERSION}_amd64.deb`;
  const fields = await succeeds(["dpkg-deb", "--info", deb]);
  assert.match(fields, /^ Package: gregor$/m);
  assert.match(fields, new RegExp(`^ Version: ${VERSION}$`, "m"));
  const contents = await succeeds(["dpkg-deb", "--contents", deb]);
  for (
    const [mode, path] of [
      ["-rwxr-xr-x", "usr/bin/gregor"],
      ["-rw-r--r--", "usr/lib/systemd/system/gregor.service"],
      ["-rw-r--r--", "etc/gregor/gregor.env"],
    ]
  ) assert.match(contents, new RegExp(`^${mode} root/root .* \\./${path}$`, "m"));
  if (Deno.uid() !== 0) {
    assert.notEqual(Deno.env.get("CI"), "true", "dpkg needs root");
    return;
  }
  const said = await inThrowawayRoot(`
    cp ${deb} /tmp/gregor.deb
    dpkg --install /tmp/gregor.deb
    getent passwd gregor
    systemd-analyze verify /usr/lib/systemd/system/gregor.service
    gregor --version
    install -d -o gregor /tmp/gregor-state
    mount -t tmpfs -o mode=777 state /tmp/gregor-state
    setpriv --reuid=gregor --regid=gregor --clear-groups /usr/bin/gregor version
    dpkg --purge gregor
    ! command -v gregor
    echo removed`);
  assert.match(said, /^gregor:x:\d+:\d+::\/var\/lib\/gregor:/m);
  assert.match(said, new RegExp(`^gregor ${VERSION}\ncommit`, "m"));
  assert.match(said, /^removed$/m);
});

Deno.test("the Dockerfile's image is what runs in an empty root", async () => {
  const binary = await compiled();
  const { copies, others } = readDockerfile(`${ROOT}packaging/Dockerfile`);
  assert.deepEqual(others.get("FROM"), ["scratch"]);
  assert.deepEqual(copies.map(({ to }) => to), ["/gregor", "/var/lib/gregor"]);
  for (const { from } of copies) await Deno.stat(ROOT + from);
  assert.deepEqual(others.get("USER"), [`${STRANGER}:${STRANGER}`]);
  assert.deepEqual(JSON.parse(others.get("ENTRYPOINT")![0]!), ["/gregor"]);
  assert.deepEqual(JSON.parse(others.get("CMD")![0]!), ["start"]);
  // The environment that the image sets, where loopback is everybody's and the ports are free ones.
  const env = others.get("ENV")!;
  assert.deepEqual(env.map((text) => text.split("=")[0]), [
    "GREGOR_DATA_DIR",
    "GREGOR_KAFKA_ADDR",
    "GREGOR_ADMIN_ADDR",
  ]);
  using root = new EmptyRoot(binary);
  const { code, remarks } = await root.run("start", "--help");
  assert.deepEqual([code, remarks], [0, ""]);
});

interface Copy {
  readonly from: string;
  readonly to: string;
}

function readDockerfile(path: string): {
  readonly copies: readonly Copy[];
  readonly others: ReadonlyMap<string, string[]>;
} {
  const copies: Copy[] = [];
  const others = new Map<string, string[]>();
  for (const line of Deno.readTextFileSync(path).split("\n")) {
    const [, word, rest] = /^([A-Z]+) (.*)$/.exec(line) ?? [];
    if (word === undefined || rest === undefined) {
      assert.match(line, /^(#.*)?$/, "an instruction a line");
      continue;
    }
    if (word === "COPY") {
      const [from, to] = rest.split(" ").filter((part) => !part.startsWith("--"));
      copies.push({ from: from!, to: to! });
    } else others.set(word, [...others.get(word) ?? [], rest]);
  }
  return { copies, others };
}

Deno.test("the Kubernetes manifests match Kubernetes' schemas and each other", async () => {
  const file = `${ROOT}packaging/kubernetes/gregor.yaml`;
  const python = await validator();
  const said = await succeeds([
    python,
    "-c",
    `import json, sys, yaml, kubernetes_validate
documents = list(yaml.safe_load_all(open(sys.argv[1])))
for document in documents: kubernetes_validate.validate(document, "1.28", strict=True)
print(json.dumps(documents))`,
    file,
  ]);
  // deno-lint-ignore no-explicit-any
  const documents: any[] = JSON.parse(said.trim().split("\n").at(-1)!);
  assert.deepEqual(documents.map(({ kind }) => kind), [
    "Service",
    "Service",
    "PodDisruptionBudget",
    "StatefulSet",
  ]);
  const set = documents[3].spec;
  assert.equal(set.replicas, 3);
  assert.equal(set.serviceName, documents[1].metadata.name);
  const { labels } = set.template.metadata;
  for (const service of documents.slice(0, 2)) assert.deepEqual(service.spec.selector, labels);
  assert.deepEqual(documents[2].spec.selector.matchLabels, labels);
  const [container] = set.template.spec.containers;
  assert.equal(container.image, `gregor:${VERSION}`);
  await flagsOf(container);
});

/** A pod's flags, with its names filled in, are a command line that `gregor start` accepts. */
// deno-lint-ignore no-explicit-any
async function flagsOf(container: any): Promise<void> {
  const values: Record<string, string> = { POD_NAME: "gregor-1", POD_NAMESPACE: "default" };
  for (const { name, value } of container.env) {
    if (value !== undefined) {
      values[name] = value.replaceAll(/\$\((\w+)\)/g, (_: string, key: string) => {
        assert.ok(values[key] !== undefined, `${name} names ${key} before it is known`);
        return values[key];
      });
    } else if (name === "GREGOR_NODE_ID") values[name] = "1";
  }
  const { START, startOptions } = await import("../../src/cli/start_options.ts");
  const { parseFlags } = await import("../../src/cli/flags.ts");
  const parsed = parseFlags(START, [], values);
  assert.deepEqual([...parsed.problems, ...START.check!(parsed)], []);
  const host = { coreCount: 2, memoryBytes: 4 * 2 ** 30, name: "gregor-1" };
  const options = startOptions(parsed.values, host);
  const { seeds, advertisedRpcAddr } = options;
  assert.equal(seeds.length, 3);
  assert.ok(seeds.some(({ host }) => host === advertisedRpcAddr!.host), "a seed is itself");
  assert.equal(options.mode, "production");
  assert.equal(options.settings.get("default.replication.factor"), "3");
  const ports = container.ports.map((port: { containerPort: number }) => port.containerPort);
  const listened = [options.kafkaAddr, options.rpcAddr!, options.adminAddr];
  assert.deepEqual(ports, listened.map(({ port }) => port));
}

/** A Python that has the validator, made at its first use. */
async function validator(): Promise<string> {
  const folder = `${ROOT}dist/build/kubernetes-validate`;
  const python = `${folder}/bin/python`;
  if ((await run(["test", "-x", python])).code === 0) {
    if ((await run([python, "-c", "import kubernetes_validate"])).code === 0) return python;
  }
  await succeeds(["python3", "-m", "venv", "--clear", folder], 120_000);
  await succeeds([python, "-m", "pip", "install", "--quiet", VALIDATOR], 180_000);
  return python;
}
