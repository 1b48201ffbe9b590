import { strict as assert } from "node:assert";
import { inspectMemory, memoryLimitFiles } from "./host.ts";

Deno.test("limits of memory are looked for in the process's own cgroup and all around it", () => {
  assert.deepEqual(memoryLimitFiles("0::/system.slice/gregor.service\n"), [
    "/sys/fs/cgroup/system.slice/gregor.service/memory.max",
    "/sys/fs/cgroup/system.slice/memory.max",
    "/sys/fs/cgroup/memory.max",
  ]);
  assert.deepEqual(memoryLimitFiles("5:devices:/\n4:cpu,memory:/docker/abc\n"), [
    "/sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes",
    "/sys/fs/cgroup/memory/docker/memory.limit_in_bytes",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
  ]);
  assert.deepEqual(memoryLimitFiles(""), []);
});

Deno.test("a limit that is none is none", () => {
  const { ramBytes, availableBytes, cgroupBytes, cgroupFile } = inspectMemory();
  assert.ok(availableBytes > 0 && availableBytes <= ramBytes);
  assert.ok(cgroupBytes === Infinity ? cgroupFile === "" : cgroupBytes <= ramBytes);
});
