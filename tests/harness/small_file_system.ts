/**
 * A file system that is full for real: a tmpfs of a few MiB. Needs the right to mount.
 *
 * @module
 */

/** A tmpfs of a few MiB, unmounted when disposed. */
export class SmallFileSystem {
  readonly path: string;

  constructor(sizeMib: number) {
    this.path = Deno.makeTempDirSync({ prefix: "gregor-small-" });
    if (!mount("mount", "-t", "tmpfs", "-o", `size=${sizeMib}m`, "tmpfs", this.path)) {
      throw new Error(`Cannot mount at ${this.path}`);
    }
  }

  /** Takes every byte that is left. */
  fill(): void {
    using file = Deno.openSync(`${this.path}/filler`, { append: true, create: true });
    for (let size = 1024 * 1024; size >= 4096; size /= 16) {
      const bytes = new Uint8Array(size);
      try {
        while (file.writeSync(bytes) === size);
      } catch (error) {
        // ENOSPC has no class of its own.
        if (!(error instanceof Error && "code" in error && error.code === "ENOSPC")) throw error;
      }
    }
  }

  unfill(): void {
    Deno.removeSync(`${this.path}/filler`);
  }

  [Symbol.dispose](): void {
    // Who has read the files in this process may not have closed all of them.
    mount("umount", "--lazy", this.path);
    Deno.removeSync(this.path, { recursive: true });
  }
}

function mount(...command: string[]): boolean {
  try {
    return new Deno.Command(command[0]!, { args: command.slice(1), stderr: "null" }).outputSync()
      .success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Whether file systems can be mounted here, and take direct writes in memory. */
export function canMount(): boolean {
  const path = Deno.makeTempDirSync();
  const mounted = mount("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", path);
  if (mounted) {
    const direct = mount(
      "dd",
      "if=/dev/zero",
      `of=${path}/probe`,
      "bs=4096",
      "count=1",
      "oflag=direct",
    );
    mount("umount", path);
    Deno.removeSync(path);
    return direct;
  }
  Deno.removeSync(path);
  return false;
}
