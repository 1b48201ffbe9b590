import { strict as assert } from "node:assert";
import {
  alignmentProblem,
  allowedProcessors,
  claimDataDirectory,
  listen,
  mapMemory,
  resolveAddress,
  uringProblem,
} from "./host.ts";
import { describeUringError, memorySizeProblem } from "./host_problem.ts";
import { EAGAIN, EINVAL, ENOMEM, ENOSYS, EPERM } from "./errno.ts";
import { testMemory, testShim } from "./uring_fixture.ts";

Deno.test("this host can run the ring, and says which processors there are", () => {
  assert.equal(uringProblem(testShim()), null);
  const processors = allowedProcessors(testShim());
  assert.equal(processors.length, navigator.hardwareConcurrency);
  assert.deepEqual(processors, [...processors].sort((a, b) => a - b));
  assert.equal(testShim().gregor_pin_thread(100_000), -EINVAL);
});

Deno.test("each reason against io_uring comes with what to do", () => {
  assert.match(describeUringError(ENOSYS).hint, /6\.1/);
  assert.match(describeUringError(EPERM).hint, /kernel\.io_uring_disabled=0.*seccomp/);
  assert.match(describeUringError(EINVAL).message, /too old/);
  assert.match(describeUringError(EAGAIN).message, /No thread can be created/);
  assert.match(describeUringError(EAGAIN).hint, /--pids-limit.*TasksMax=.*ulimit -u/);
  assert.match(describeUringError(77).message, /errno 77/);
});

Deno.test("mapMemory() maps once, and explains a region that cannot be had", () => {
  const size = testMemory().bytes.length;
  assert.equal(mapMemory(testShim(), size, {}), null);
  assert.equal(mapMemory(testShim(), 4096, {}), null, "the one that is mapped serves");
  assert.match(mapMemory(testShim(), size * 2, {})!.message, /smaller memory region/);
});

Deno.test("the region is aligned for huge pages and ends where it says", () => {
  const memory = testMemory();
  const base = BigInt(Deno.UnsafePointer.value(testShim().gregor_region_pointer()));
  assert.equal(base % (2n << 20n), 0n);
  const last = memory.bytes.length - 1;
  memory.bytes[last] = 77;
  assert.equal(memory.bytes[last], 77);
  assert.notEqual(testShim().gregor_crc32c(0, last, 1), 0);
  assert.equal(testShim().gregor_crc32c(0, last, 2), 0, "outside");
  assert(testShim().gregor_copy(0, last, 2) < 0, "outside");
  assert.equal(testShim().gregor_copy(0, last, 1), 0);
  assert.equal(memory.bytes[0], 77);
});

Deno.test("listen() gives the port, and explains what it cannot do", () => {
  const first = listen(testShim(), "127.0.0.1", 0);
  assert("fd" in first);
  const taken = listen(testShim(), "127.0.0.1", first.port);
  assert("message" in taken && /another process already listens/.test(taken.message));
  testShim().gregor_close_fd(first.fd);
  const foreign = listen(testShim(), "192.0.2.1", 0);
  assert("message" in foreign && /does not have that address/.test(foreign.message));
  const unknown = listen(testShim(), "no-such-host.invalid", 0);
  assert("message" in unknown && /does not resolve/.test(unknown.message));
});

Deno.test("claimDataDirectory() makes it, and refuses one in use or that is a file", () => {
  const parent = Deno.makeTempDirSync({ prefix: "gregor-host-" });
  const path = `${parent}/a/b`;
  assert.equal(claimDataDirectory(testShim(), path), null);
  // Locks of two descriptors exclude each other, even within a process.
  const { message } = claimDataDirectory(testShim(), path)!;
  assert.match(message, new RegExp(`in use by another process \\(${Deno.pid}\\)`));
  assert.equal(Deno.readTextFileSync(`${path}/gregor.lock`), `${Deno.pid}\n`);
  Deno.writeTextFileSync(`${parent}/file`, "");
  assert.match(claimDataDirectory(testShim(), `${parent}/file`)!.message, /file/);
  assert.match(claimDataDirectory(testShim(), `${parent}/file/x`)!.message, /Cannot create/);
  Deno.removeSync(parent, { recursive: true });
});

Deno.test("a device that takes only units larger than ours is refused by name, others are not", () => {
  const path = Deno.makeTempDirSync({ prefix: "gregor-host-" });
  assert.equal(claimDataDirectory(testShim(), path), null);
  const bytes = testShim().gregor_probe_direct();
  assert(bytes === 0 || bytes >= 512 && bytes <= 4096, `${bytes}`);
  assert.equal(alignmentProblem(path, bytes), null);
  const { message, hint } = alignmentProblem("/mnt/x", 16384)!;
  assert.match(message, /device of \/mnt\/x .* units of 16384 bytes; Gregor's are 4096 bytes/);
  assert.match(hint, /--data-dir .* at most 4096 bytes/);
  Deno.removeSync(path, { recursive: true });
});

Deno.test("resolveAddress() gives numeric addresses", () => {
  assert.match(resolveAddress(testShim(), "localhost", 9092)!, /^(127\.0\.0\.1|\[::1\]):9092$/);
  assert.equal(resolveAddress(testShim(), "[::1]", 1), "[::1]:1");
  assert.equal(resolveAddress(testShim(), "no-such-host.invalid", 1), null);
});

const GIB = 2 ** 30;
const LIMITS = {
  ramBytes: 23 * GIB,
  availableBytes: 20 * GIB,
  cgroupBytes: Infinity,
  cgroupFile: "",
};

Deno.test("memory that is not there is refused in both modes, with what would do", () => {
  for (const locked of [true, false]) {
    const problem = memorySizeProblem(100 * GIB, 0, LIMITS, locked)!;
    assert.equal(
      problem.message,
      "--memory 102400MiB is too much: this host has 23552MiB, and the broker and the kernel need some " +
        "more.",
    );
    assert.equal(problem.hint, "Set --memory to 21197MiB at most.");
    assert.equal(memorySizeProblem(19 * GIB, 0, LIMITS, locked), null);
  }
});

Deno.test("what a container may use counts, and the file that says so is named", () => {
  const cgroupFile = "/sys/fs/cgroup/memory.max";
  const limits = { ...LIMITS, cgroupBytes: 2 * GIB, cgroupFile };
  const problem = memorySizeProblem(2 * GIB, 0, limits, false)!;
  assert.match(problem.message, /container may use 2048MiB \(\/sys\/fs\/cgroup\/memory\.max\)/);
  assert.match(problem.hint, /--memory to 1844MiB at most.*docker run --memory.*MemoryMax=/);
  assert.equal(memorySizeProblem(1.8 * GIB, 0, limits, true), null);
});

Deno.test("what decoders may take beside the region counts", () => {
  const limits = { ...LIMITS, cgroupBytes: GIB, cgroupFile: "/sys/fs/cgroup/memory.max" };
  assert.equal(memorySizeProblem(0.8 * GIB, 0.1 * GIB, limits, true), null);
  const problem = memorySizeProblem(0.8 * GIB, 0.25 * GIB, limits, true)!;
  assert.match(problem.hint, /--memory to 768MiB at most/);
});

Deno.test("locked memory must be free now; in dev mode it need not", () => {
  const limits = { ...LIMITS, availableBytes: 4 * GIB };
  const problem = memorySizeProblem(5 * GIB, 0, limits, true)!;
  assert.match(problem.message, /other programs leave 4096MiB/);
  assert.match(problem.hint, /--mode dev/);
  assert.equal(memorySizeProblem(5 * GIB, 0, limits, false), null);
});

Deno.test("a ring that the limit of locked memory forbids names ulimit -l, not memory", () => {
  const problem = describeUringError(ENOMEM, 64 * 1024);
  assert.match(problem.message, /locked memory \(ulimit -l\) is 64 KiB/);
  assert.match(problem.hint, /ulimit -l unlimited.*LimitMEMLOCK=infinity.*--ulimit memlock=-1/);
  assert.match(describeUringError(ENOMEM).hint, /Free memory/);
});
