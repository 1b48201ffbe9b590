/**
 * Ports of loopback on which nobody listens at the moment.
 *
 * They lie below the range from which the kernel takes the ports of those who ask for any (port 0): who is given one here,
 * and listens on it a little later, must not find that another broker got it meanwhile.
 *
 * @module
 */

const FIRST = 10_000;
/** Attempts to find a port, or a row of them. */
const ATTEMPTS_MAX = 1_000;

/** Where the kernel's own choice begins. */
const KERNELS = Number(
  Deno.readTextFileSync("/proc/sys/net/ipv4/ip_local_port_range").trim().split(/\s+/)[0],
);
/** Test processes that run at the same time begin at different places. */
let next = FIRST + Math.floor(Math.random() * (KERNELS - FIRST));

/** As many ports as are asked for, anywhere. */
export function freePorts(count: number): number[] {
  return Array.from({ length: count }, () => freePortRow(1));
}

/** The first of `count` free ports in a row. */
export function freePortRow(count: number): number {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    if (next + count > KERNELS) next = FIRST;
    const first = next;
    next += count;
    if (isRowFree(first, count)) return first;
  }
  throw new Error(`Cannot find ${count} free ports in a row below ${KERNELS}`);
}

function isRowFree(first: number, count: number): boolean {
  const listeners: Deno.Listener[] = [];
  try {
    for (let at = 0; at < count; at++) {
      listeners.push(Deno.listen({ hostname: "127.0.0.1", port: first + at }));
    }
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) return false;
    throw error;
  } finally {
    for (const listener of listeners) listener.close();
  }
}
