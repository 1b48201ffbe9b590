/**
 * Runs a command to which one system call is forbidden (EPERM), as by the seccomp profile of a container:
 *
 *     deno run -A tests/harness/forbid_syscall.ts NUMBER COMMAND [ARGUMENT...]
 *
 * @module
 */

const PR_SET_NO_NEW_PRIVS = 38;
const SYS_SECCOMP = Deno.build.arch === "x86_64" ? 317 : 277;
const SECCOMP_SET_MODE_FILTER = 1;
/** All threads of the process: the command may be started from any of them. */
const SECCOMP_FILTER_FLAG_TSYNC = 1;
const RETURN_ALLOW = 0x7fff0000;
const RETURN_EPERM = 0x00050000 | 1;
// Instructions of classic BPF: load the call's number, compare, return.
const LOAD_WORD = 0x20;
const JUMP_IF_EQUAL = 0x15;
const RETURN = 0x06;

function forbid(call: number): void {
  const libc = Deno.dlopen("libc.so.6", {
    prctl: { parameters: ["i32", "u64", "u64", "u64", "u64"], result: "i32" },
    syscall: { parameters: ["i64", "u64", "u64", "buffer"], result: "i64" },
  });
  const filter = program([
    [LOAD_WORD, 0, 0, 0],
    [JUMP_IF_EQUAL, 0, 1, call],
    [RETURN, 0, 0, RETURN_EPERM],
    [RETURN, 0, 0, RETURN_ALLOW],
  ]);
  const header = new DataView(new ArrayBuffer(16));
  header.setUint16(0, filter.length / 8, true);
  header.setBigUint64(8, BigInt(Deno.UnsafePointer.value(Deno.UnsafePointer.of(filter))), true);
  const { prctl, syscall } = libc.symbols;
  const done = prctl(PR_SET_NO_NEW_PRIVS, 1n, 0n, 0n, 0n) === 0 &&
    syscall(
        BigInt(SYS_SECCOMP),
        BigInt(SECCOMP_SET_MODE_FILTER),
        BigInt(SECCOMP_FILTER_FLAG_TSYNC),
        new Uint8Array(header.buffer),
      ) === 0n;
  if (!done) throw new Error("Cannot set a seccomp filter");
}

/** Code, jump if true, jump if false, operand of each instruction. */
function program(instructions: readonly (readonly [number, number, number, number])[]) {
  const bytes = new Uint8Array(8 * instructions.length);
  const view = new DataView(bytes.buffer);
  instructions.forEach(([code, ifTrue, ifFalse, operand], at) => {
    view.setUint16(8 * at, code, true);
    bytes[8 * at + 2] = ifTrue;
    bytes[8 * at + 3] = ifFalse;
    view.setUint32(8 * at + 4, operand, true);
  });
  return bytes;
}

const [call, command, ...args] = Deno.args;
forbid(Number(call));
const { code } = await new Deno.Command(command!, { args }).output().then(async (output) => {
  await Deno.stdout.write(output.stdout);
  await Deno.stderr.write(output.stderr);
  return output;
});
Deno.exit(code);
