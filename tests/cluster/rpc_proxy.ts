/**
 * The network between the nodes of a cluster: every connection of one node to another goes through here, and may be made
 * to carry nothing, for each direction, or be broken.
 *
 * Links between nodes are one-directional, and their preamble says who sends (`src/rpc/preamble.ts`); so one listener per
 * node is enough to know both ends. What is on its way when a direction is cut arrives when it is healed, or never, if the
 * connection is broken then.
 *
 * @module
 */

import { PREAMBLE_SIZE } from "../../src/rpc/preamble.ts";

const NODE_ID_AT = 24;
const READ_SIZE = 64 * 1024;

interface Flow {
  readonly from: number;
  readonly to: number;
  readonly ends: Deno.TcpConn[];
}

export class RpcProxy {
  readonly #listeners: Deno.TcpListener[] = [];
  readonly #flows = new Set<Flow>();
  readonly #cut = new Set<string>();
  #onHeal = Promise.withResolvers<void>();
  #closed = false;

  /** Listens for each of the nodes. @returns the ports, by node */
  listen(rpcPorts: readonly number[]): number[] {
    return rpcPorts.map((target, to) => {
      const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
      this.#listeners.push(listener);
      this.#accept(listener, to, target);
      return listener.addr.port;
    });
  }

  /** What `from` sends to `to` does not arrive. */
  cut(from: number, to: number): void {
    this.#cut.add(keyOf(from, to));
  }

  /** Nothing arrives between two nodes. */
  part(a: number, b: number): void {
    this.cut(a, b);
    this.cut(b, a);
  }

  /** Breaks the connections between two nodes. */
  break(a: number, b: number): void {
    for (const flow of this.#flows) {
      const isBetween = (flow.from === a && flow.to === b) || (flow.from === b && flow.to === a);
      if (isBetween) closeAll(flow);
    }
  }

  /**
   * Everything arrives again.
   *
   * @param late what was on its way arrives now; otherwise its connections are broken
   */
  heal(late: boolean): void {
    if (!late) {
      for (const flow of this.#flows) {
        if (this.#cut.has(keyOf(flow.from, flow.to))) closeAll(flow);
      }
    }
    this.#cut.clear();
    const { resolve } = this.#onHeal;
    this.#onHeal = Promise.withResolvers();
    resolve();
  }

  close(): void {
    this.#closed = true;
    for (const listener of this.#listeners) listener.close();
    for (const flow of this.#flows) closeAll(flow);
    this.heal(true);
  }

  async #accept(listener: Deno.TcpListener, to: number, target: number): Promise<void> {
    try {
      for await (const conn of listener) this.#carry(conn, to, target);
    } catch (error) {
      if (!this.#closed) throw error;
    }
  }

  async #carry(source: Deno.TcpConn, to: number, port: number): Promise<void> {
    const preamble = await readWhole(source, PREAMBLE_SIZE);
    if (preamble === null) return closeQuietly(source);
    const from = new DataView(preamble.buffer).getInt32(NODE_ID_AT, true);
    const flow: Flow = { from, to, ends: [source] };
    this.#flows.add(flow);
    try {
      await this.#passable(flow);
      const sink = await Deno.connect({ hostname: "127.0.0.1", port });
      flow.ends.push(sink);
      sink.setNoDelay(true);
      source.setNoDelay(true);
      await writeWhole(sink, preamble);
      await Promise.race([this.#pump(flow, source, sink), this.#pump(flow, sink, source)]);
    } catch {
      // One of the ends is gone: so is the other.
    }
    closeAll(flow);
    this.#flows.delete(flow);
  }

  async #pump(flow: Flow, source: Deno.TcpConn, sink: Deno.TcpConn): Promise<void> {
    const buffer = new Uint8Array(READ_SIZE);
    for (;;) {
      const count = await source.read(buffer);
      if (count === null) return;
      await this.#passable(flow);
      await writeWhole(sink, buffer.subarray(0, count));
    }
  }

  async #passable({ from, to }: Flow): Promise<void> {
    while (this.#cut.has(keyOf(from, to))) await this.#onHeal.promise;
  }
}

function keyOf(from: number, to: number): string {
  return `${from}>${to}`;
}

async function readWhole(conn: Deno.TcpConn, size: number): Promise<Uint8Array | null> {
  const bytes = new Uint8Array(size);
  try {
    for (let at = 0; at < size;) {
      const count = await conn.read(bytes.subarray(at));
      if (count === null) return null;
      at += count;
    }
    return bytes;
  } catch {
    return null;
  }
}

async function writeWhole(conn: Deno.TcpConn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
}

function closeAll({ ends }: Flow): void {
  for (const end of ends) closeQuietly(end);
}

function closeQuietly(conn: Deno.TcpConn): void {
  try {
    conn.close();
  } catch {
    // It is closed.
  }
}
