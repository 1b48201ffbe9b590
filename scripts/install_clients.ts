/**
 * Prepares the real clients that `tests/clients` drives: packages and builds, all below `tests/clients`.
 *
 * Idempotent: what a client is made from is hashed, and an equal hash in `.cache/NAME.ready` ends its part
 * at once. What cannot be prepared leaves its reason in `.cache/NAME.missing`; whether that is a skip or
 * a failure is for the tests to say, so the exit code is still 0. Only kcat is installed as a package of the
 * system, when this runs as root; of Debian's package of Prometheus the programs are taken, and nothing is started.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { exists, ROOT, run } from "./run.ts";

const FOLDER = `${ROOT}tests/clients/`;
const CACHE = `${FOLDER}.cache/`;

interface Preparation {
  readonly name: string;
  /** What it is made from: files or folders in `tests/clients`. */
  readonly sources: readonly string[];
  /** What must exist afterwards. */
  readonly makes: string;
  prepare(): Promise<void>;
}

/** A step that failed; its message is the client's reason to be missing. */
class PreparationError extends Error {}

async function step(command: readonly string[], cwd: string = FOLDER): Promise<void> {
  const { code, output } = await run(command, { cwd });
  if (code === 0) return;
  const end = output.trim().split("\n").slice(-5).join("\n");
  throw new PreparationError(`exit code ${code}: ${command.join(" ")}\n${end}`);
}

const PREPARATIONS: readonly Preparation[] = [
  { name: "kcat", sources: [], makes: "", prepare: prepareKcat },
  {
    name: "python",
    sources: ["python/requirements.txt"],
    makes: `${CACHE}python/bin/python`,
    prepare: () => preparePython("python"),
  },
  {
    name: "tensorflow",
    sources: ["tensorflow/requirements.txt"],
    makes: `${CACHE}tensorflow/bin/python`,
    prepare: () => preparePython("tensorflow"),
  },
  {
    name: "java",
    sources: ["java"],
    makes: `${CACHE}java/classes/Client.class`,
    prepare: () => prepareJava("java"),
  },
  {
    name: "tools",
    sources: ["tools"],
    makes: `${CACHE}tools/classes/Tools.class`,
    prepare: () => prepareJava("tools"),
  },
  {
    name: "streams",
    sources: ["streams"],
    makes: `${CACHE}streams/classes/Streams.class`,
    prepare: () => prepareJava("streams"),
  },
  {
    name: "connect",
    sources: ["connect"],
    makes: `${CACHE}connect/classes/Connect.class`,
    prepare: () => prepareJava("connect"),
  },
  {
    name: "go",
    sources: ["go"],
    makes: `${CACHE}go/client`,
    prepare: () => step(["go", "build", "-o", `${CACHE}go/client`, "."], `${FOLDER}go`),
  },
  {
    name: "prometheus",
    sources: [],
    makes: `${CACHE}prometheus/usr/bin/promtool`,
    prepare: preparePrometheus,
  },
  {
    name: "exporter",
    sources: ["exporter/requirements.txt"],
    makes: `${CACHE}exporter/bin/python`,
    prepare: () => preparePython("exporter"),
  },
  {
    name: "kafkajs",
    sources: ["kafkajs/package-lock.json"],
    makes: `${FOLDER}kafkajs/node_modules/kafkajs`,
    prepare: async () => {
      await step(["node", "--version"]);
      await step(["npm", "ci", "--no-audit", "--no-fund"], `${FOLDER}kafkajs`);
    },
  },
  {
    name: "platformatic",
    sources: ["platformatic/package-lock.json"],
    makes: `${FOLDER}platformatic/node_modules/@platformatic/kafka`,
    prepare: () => step(["npm", "ci", "--no-audit", "--no-fund"], `${FOLDER}platformatic`),
  },
];

/** The jars that the client's `pom.xml` names, and the classes of its sources. */
async function prepareJava(name: string): Promise<void> {
  const folder = CACHE + name;
  await removeAll(folder);
  const maven = ["mvn", "--quiet", "--batch-mode", "--file", `${name}/pom.xml`];
  await step([...maven, "dependency:copy-dependencies", `-DoutputDirectory=${folder}/lib`]);
  const sources = [...Deno.readDirSync(FOLDER + name)]
    .filter((file) => file.name.endsWith(".java")).map((file) => `${name}/${file.name}`);
  await step(["javac", "-cp", `${folder}/lib/*`, "-d", `${folder}/classes`, ...sources]);
}

/** A virtual environment with what the client's `requirements.txt` asks for. */
async function preparePython(name: string): Promise<void> {
  await step(["python3", "-m", "venv", "--clear", CACHE + name]);
  const pip = [`${CACHE}${name}/bin/python`, "-m", "pip", "install", "--quiet"];
  await step([...pip, "--requirement", `${name}/requirements.txt`]);
}

async function prepareKcat(): Promise<void> {
  if ((await run(["kcat", "-V"])).code === 0) return;
  if (Deno.uid() !== 0 || (await run(["apt-get", "--version"])).code !== 0) {
    throw new PreparationError("kcat is not installed (Debian's package is named kcat)");
  }
  await updatePackageLists();
  await step(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "kcat"]);
}

let listsUpdated: Promise<void> | null = null;

/** Once for all that need it: two at the same time would refuse each other. */
function updatePackageLists(): Promise<void> {
  return listsUpdated ??= step(["apt-get", "update", "-qq"]);
}

/** Unpacked here: installed, its service would start. */
async function preparePrometheus(): Promise<void> {
  const folder = `${CACHE}prometheus`;
  await removeAll(folder);
  Deno.mkdirSync(folder, { recursive: true });
  const download = ["apt-get", "download", "prometheus"];
  if ((await run(download, { cwd: folder })).code !== 0) {
    await updatePackageLists();
    await step(download, folder);
  }
  const [file] = [...Deno.readDirSync(folder)].map(({ name }) => name);
  await step(["dpkg-deb", "--extract", file!, "."], folder);
}

async function removeAll(path: string): Promise<void> {
  if (exists(path)) await Deno.remove(path, { recursive: true });
}

/** Hash over names and contents of a preparation's sources. */
function hashOf(sources: readonly string[]): string {
  const hash = createHash("sha256");
  for (const source of sources) {
    const path = FOLDER + source;
    const files = Deno.statSync(path).isDirectory
      ? [...Deno.readDirSync(path)].map(({ name }) => `${source}/${name}`).sort()
      : [source];
    for (const file of files) hash.update(`${file}\0`).update(Deno.readFileSync(FOLDER + file));
  }
  return hash.digest("hex");
}

async function prepare({ name, sources, makes, prepare }: Preparation): Promise<void> {
  const ready = `${CACHE}${name}.ready`;
  const missing = `${CACHE}${name}.missing`;
  const hash = hashOf(sources);
  const fresh = exists(ready) && Deno.readTextFileSync(ready) === hash;
  // kcat may have been removed meanwhile, and asking for it costs nothing.
  if (fresh && makes !== "" && exists(makes)) return;
  const startedMs = performance.now();
  await removeAll(ready);
  await removeAll(missing);
  try {
    await prepare();
    Deno.writeTextFileSync(ready, hash);
    console.log(`client ${name}: ready (${((performance.now() - startedMs) / 1000).toFixed(1)} s)`);
  } catch (error) {
    if (!(error instanceof PreparationError)) throw error;
    Deno.writeTextFileSync(missing, error.message);
    console.log(`client ${name}: missing, ${error.message}`);
  }
}

/** Prepares every client. */
export async function installClients(): Promise<void> {
  Deno.mkdirSync(CACHE, { recursive: true });
  await Promise.all(PREPARATIONS.map(prepare));
}

if (import.meta.main) await installClients();
