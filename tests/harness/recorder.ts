/**
 * A TCP proxy between clients and a broker that keeps what both said, frame by frame.
 *
 * ```
 *   client ──> recorder ──> broker       a request says its API, version and correlation id
 *   client <── recorder <── broker       a response says its correlation id alone: the request
 *                                        of the same connection with that id says the rest
 * ```
 *
 * Bytes are passed on as they come and nothing is rewritten. Hence the broker must advertise the
 * recorder's address in place of its own, or clients go around it.
 *
 * @module
 */

/** One frame as it was on the wire, without the size before it. */
export interface Frame {
  readonly direction: "request" | "response";
  readonly apiKey: number;
  /** Of the request, also in a response. */
  readonly version: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** What no client or broker sends in these tests: something else was taken for a size. */
const FRAME_SIZE_MAX = 16 * 1024 * 1024;
const CONNECT_TIMEOUT_MS = 10_000;
/** What is kept between two calls of `take`; a client that asks without end must not fill the memory. */
const KEPT_BYTES_MAX = 64 * 1024 * 1024;

interface Pairing {
  readonly apiKey: number;
  readonly version: number;
}

export class Recorder {
  /** `HOST:PORT` of the broker; clients wait until it is known. */
  target: string | null = null;
  /** What was wrong with the streams themselves: an answer to nothing, a size that is none. */
  readonly faults: string[] = [];
  #frames: Frame[] = [];
  #keptBytes = 0;
  readonly #listener: Deno.TcpListener;
  readonly #open = new Set<Deno.TcpConn>();
  readonly #serving: Promise<void>;
  #closed = false;

  private constructor(listener: Deno.TcpListener) {
    this.#listener = listener;
    this.#serving = this.#serve();
  }

  /** Listens on a free port of the loopback; {@linkcode target} is set when the broker is there. */
  static listen(): Recorder {
    return new Recorder(Deno.listen({ hostname: "127.0.0.1", port: 0 }));
  }

  /** `HOST:PORT` for clients, and for the broker to advertise. */
  get address(): string {
    return `127.0.0.1:${this.#listener.addr.port}`;
  }

  /** The frames since the last call, in the order in which they were complete. */
  take(): Frame[] {
    const frames = this.#frames;
    this.#frames = [];
    this.#keptBytes = 0;
    return frames;
  }

  /** Ends every connection. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#listener.close();
    for (const connection of this.#open) close(connection);
    await this.#serving;
  }

  async #serve(): Promise<void> {
    const connections: Promise<void>[] = [];
    for (;;) {
      const client = await this.#listener.accept().catch(() => null);
      if (client === null) break;
      connections.push(this.#join(client));
    }
    await Promise.all(connections);
  }

  async #join(client: Deno.TcpConn): Promise<void> {
    this.#open.add(client);
    const broker = await this.#connect();
    if (broker !== null) {
      this.#open.add(broker);
      const pending = new Map<number, Pairing>();
      const requests = new FrameSplitter((bytes) => this.#onRequest(bytes, pending));
      const responses = new FrameSplitter((bytes) => this.#onResponse(bytes, pending));
      await Promise.all([
        this.#pass(client, broker, requests),
        this.#pass(broker, client, responses),
      ]);
      close(broker);
      this.#open.delete(broker);
    }
    close(client);
    this.#open.delete(client);
  }

  /** The broker may still be starting when a client comes early. */
  async #connect(): Promise<Deno.TcpConn | null> {
    const deadlineMs = performance.now() + CONNECT_TIMEOUT_MS;
    while (!this.#closed && performance.now() < deadlineMs) {
      const [hostname, port] = this.target?.split(":") ?? [];
      if (hostname !== undefined) {
        try {
          return await Deno.connect({ hostname, port: Number(port) });
        } catch (error) {
          if (!(error instanceof Deno.errors.ConnectionRefused)) throw error;
        }
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return null;
  }

  /** Until the sender ends or either side breaks; then the receiver is notified. */
  async #pass(from: Deno.TcpConn, to: Deno.TcpConn, splitter: FrameSplitter): Promise<void> {
    const buffer = new Uint8Array(64 * 1024);
    try {
      for (;;) {
        const size = await from.read(buffer);
        if (size === null) break;
        // Before it is passed on: whoever saw the answer finds it here.
        if (!splitter.push(buffer.subarray(0, size))) {
          this.faults.push("a frame's size is none");
          break;
        }
        for (let at = 0; at < size;) at += await to.write(buffer.subarray(at, size));
      }
      await to.closeWrite();
    } catch {
      // A broken connection breaks both ways, as it would without a proxy.
      close(from);
      close(to);
    }
  }

  #onRequest(bytes: Uint8Array<ArrayBuffer>, pending: Map<number, Pairing>): void {
    const view = new DataView(bytes.buffer);
    if (bytes.length < 8) {
      this.faults.push(`a request of ${bytes.length} bytes`);
      return;
    }
    const pairing = { apiKey: view.getInt16(0), version: view.getInt16(2) };
    // Without an answer by design (acks=0), a request stays here until its id comes again.
    pending.set(view.getInt32(4), pairing);
    this.#keep({ direction: "request", ...pairing, bytes });
  }

  #onResponse(bytes: Uint8Array<ArrayBuffer>, pending: Map<number, Pairing>): void {
    const id = bytes.length < 4 ? null : new DataView(bytes.buffer).getInt32(0);
    const pairing = id === null ? undefined : pending.get(id);
    if (id === null || pairing === undefined) {
      this.faults.push(`a response to nothing: ${bytes.subarray(0, 16).toHex()}`);
      return;
    }
    pending.delete(id);
    this.#keep({ direction: "response", ...pairing, bytes });
  }

  #keep(frame: Frame): void {
    const full = this.#keptBytes > KEPT_BYTES_MAX;
    this.#keptBytes += frame.bytes.length;
    if (this.#keptBytes <= KEPT_BYTES_MAX) this.#frames.push(frame);
    else if (!full) this.faults.push(`more than ${KEPT_BYTES_MAX} bytes to keep`);
  }
}

/** Cuts a stream into frames, whatever pieces it comes in. */
export class FrameSplitter {
  readonly #onFrame: (bytes: Uint8Array<ArrayBuffer>) => void;
  readonly #size = new Uint8Array(4);
  #sizeHeld = 0;
  #frame: Uint8Array<ArrayBuffer> | null = null;
  #frameHeld = 0;

  constructor(onFrame: (bytes: Uint8Array<ArrayBuffer>) => void) {
    this.#onFrame = onFrame;
  }

  /** Takes the next piece; false where a size cannot be one. */
  push(piece: Uint8Array): boolean {
    let at = 0;
    while (at < piece.length) {
      if (this.#frame === null) {
        this.#size[this.#sizeHeld++] = piece[at++]!;
        if (this.#sizeHeld < 4) continue;
        const size = new DataView(this.#size.buffer).getInt32(0);
        if (size <= 0 || size > FRAME_SIZE_MAX) return false;
        this.#frame = new Uint8Array(size);
        this.#sizeHeld = 0;
        this.#frameHeld = 0;
      }
      const part = piece.subarray(at, at + this.#frame.length - this.#frameHeld);
      this.#frame.set(part, this.#frameHeld);
      this.#frameHeld += part.length;
      at += part.length;
      if (this.#frameHeld < this.#frame.length) continue;
      const frame = this.#frame;
      this.#frame = null;
      this.#onFrame(frame);
    }
    return true;
  }
}

function close(connection: Deno.TcpConn): void {
  try {
    connection.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}
