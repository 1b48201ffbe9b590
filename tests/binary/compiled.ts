/**
 * The one file, made once for all tests of this folder, and roots that hold nothing else.
 *
 * @module
 */

const ROOT = new URL("../../", import.meta.url).pathname;
/** With nothing in its cache, packing the runtime takes two minutes on two cores. */
const COMPILE_TIMEOUT_MS = 12 * 60_000;
/** Nobody's user and group. */
export const STRANGER = 65532;

let made: Promise<string> | null = null;

/** The path of `dist/gregor`, after `deno task compile`. */
export function compiled(): Promise<string> {
  made ??= compile();
  return made;
}

async function compile(): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", "compile"],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
    stdin: "null",
    signal: AbortSignal.timeout(COMPILE_TIMEOUT_MS),
  }).output();
  const decoder = new TextDecoder();
  const said = decoder.decode(stderr) + decoder.decode(stdout);
  if (!success) throw new Error(`deno task compile failed:\n${said}`);
  console.log(said.trimEnd());
  return `${ROOT}dist/gregor`;
}

/**
 * Makes `$1` a read-only root with nothing but `/gregor` (a copy of `$2`), `/proc` and the folder `$3`, and runs
 * `/gregor` there with the other arguments and no environment, as a user that owns nothing else (`WHO` says how).
 * It is one process from the first word to the last.
 */
const ENTER = `set -e
mount -t tmpfs -o size=80m,mode=755 root "$1"
cp "$2" "$1/gregor"
mkdir -p "$1/proc" "$1$3"
mount --rbind /proc "$1/proc"
mount --bind "$3" "$1$3"
mount -o remount,ro,size=80m,mode=755 root "$1"
root=$1
chroot=$(PATH="$PATH:/usr/sbin:/sbin" command -v chroot)
shift 3
exec env -i "$chroot" $WHO "$root" /gregor "$@"`;

/** A folder for a root, and one for data; both go with it. */
export class EmptyRoot {
  readonly dataDir: string;
  readonly #root = Deno.makeTempDirSync({ prefix: "gregor-root-" });
  readonly #binary: string;

  constructor(binary: string) {
    this.#binary = binary;
    this.dataDir = Deno.makeTempDirSync({ prefix: "gregor-root-data-" });
    if (Deno.uid() === 0) Deno.chownSync(this.dataDir, STRANGER, STRANGER);
  }

  /** What to run so that `gregor`, with the arguments that follow, runs in there. */
  get program(): string[] {
    // Without root's rights, a user namespace of one's own has the mounts; its user is as unprivileged as before.
    const namespaces = Deno.uid() === 0 ? ["--mount"] : ["--user", "--map-root-user", "--mount"];
    const who = Deno.uid() === 0 ? `--userspec=${STRANGER}:${STRANGER}` : "";
    return [
      "env",
      `WHO=${who}`,
      "unshare",
      ...namespaces,
      "sh",
      "-c",
      ENTER,
      "sh",
      this.#root,
      this.#binary,
      this.dataDir,
    ];
  }

  /** Runs `gregor` in there to its end. */
  async run(...args: readonly string[]): Promise<RootRun> {
    const startedMs = performance.now();
    const [command, ...rest] = this.program;
    const { code, stdout, stderr } = await new Deno.Command(command!, {
      args: [...rest, ...args],
      stdin: "null",
      signal: AbortSignal.timeout(60_000),
    }).output();
    const decoder = new TextDecoder();
    return {
      code,
      out: decoder.decode(stdout),
      remarks: decoder.decode(stderr),
      tookMs: performance.now() - startedMs,
    };
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.#root, { recursive: true });
    Deno.removeSync(this.dataDir, { recursive: true });
  }
}

export interface RootRun {
  readonly code: number;
  readonly out: string;
  readonly remarks: string;
  readonly tookMs: number;
}
