/**
 * Ports of loopback on which nobody listens at the moment.
 *
 * @module
 */

/** As many ports as are asked for, anywhere. */
export function freePorts(count: number): number[] {
  const listeners = Array.from(
    { length: count },
    () => Deno.listen({ hostname: "127.0.0.1", port: 0 }),
  );
  const ports = listeners.map(({ addr }) => addr.port);
  for (const listener of listeners) listener.close();
  return ports;
}

/** Attempts to find a row of ports. */
const ATTEMPTS_MAX = 100;

/** The first of `count` free ports in a row. */
export function freePortRow(count: number): number {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const first = freePorts(1)[0]!;
    const listeners: Deno.Listener[] = [];
    try {
      for (let at = 0; at < count; at++) {
        listeners.push(Deno.listen({ hostname: "127.0.0.1", port: first + at }));
      }
      return first;
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse) && !(error instanceof RangeError)) throw error;
    } finally {
      for (const listener of listeners) listener.close();
    }
  }
  throw new Error(`Cannot find ${count} free ports in a row`);
}
