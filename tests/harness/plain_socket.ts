/**
 * A TCP connection made with libc's own calls, for what `Deno.connect` does not offer: options that must
 * be set before connecting, and reading as little as one wants.
 *
 * @module
 */

const LIBC = "libc.so.6";
const SYMBOLS = {
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32", nonblocking: true },
  read: { parameters: ["i32", "buffer", "usize"], result: "isize", nonblocking: true },
  write: { parameters: ["i32", "buffer", "usize"], result: "isize", nonblocking: true },
  close: { parameters: ["i32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

const AF_INET = 2;
const SOCK_STREAM = 1;
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const IPPROTO_TCP = 6;
const TCP_MAXSEG = 2;

export interface PlainSocketOptions {
  /** Largest segment that either side sends (bytes); keeps the broker's send buffer small, too. */
  readonly segmentBytes?: number;
  /** Size of the receive buffer (bytes); the kernel doubles it. */
  readonly receiveBytes?: number;
}

export class PlainSocket implements Disposable {
  readonly #libc: Deno.DynamicLibrary<typeof SYMBOLS>;
  readonly #fd: number;

  private constructor(libc: Deno.DynamicLibrary<typeof SYMBOLS>, fd: number) {
    this.#libc = libc;
    this.#fd = fd;
  }

  /** Connects to an IPv4 `address:port`. */
  static async connect(address: string, options: PlainSocketOptions = {}): Promise<PlainSocket> {
    const libc = Deno.dlopen(LIBC, SYMBOLS);
    const { socket, setsockopt, connect } = libc.symbols;
    const self = new PlainSocket(libc, socket(AF_INET, SOCK_STREAM, 0));
    const set = (level: number, name: number, value: number | undefined): void => {
      if (value === undefined) return;
      const bytes = new Uint8Array(Int32Array.of(value).buffer);
      check("setsockopt", setsockopt(self.#fd, level, name, bytes, bytes.length));
    };
    set(IPPROTO_TCP, TCP_MAXSEG, options.segmentBytes);
    set(SOL_SOCKET, SO_RCVBUF, options.receiveBytes);
    const [host, port] = address.split(":");
    const name = new Uint8Array(16);
    new DataView(name.buffer).setUint16(0, AF_INET, true);
    new DataView(name.buffer).setUint16(2, Number(port), false);
    name.set(host!.split(".").map(Number), 4);
    check("connect", await connect(self.#fd, name, name.length));
    return self;
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      const rest = bytes.slice(at);
      at += check(
        "write",
        Number(await this.#libc.symbols.write(this.#fd, rest, BigInt(rest.length))),
      );
    }
  }

  /** What has come, at most `bytesMax`; empty at the end of the stream. Waits for the first byte. */
  async read(bytesMax: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(bytesMax);
    const count = Number(await this.#libc.symbols.read(this.#fd, bytes, BigInt(bytesMax)));
    return bytes.subarray(0, check("read", count));
  }

  [Symbol.dispose](): void {
    this.#libc.symbols.close(this.#fd);
    this.#libc.close();
  }
}

function check(what: string, result: number): number {
  if (result < 0) throw new Error(`Cannot ${what} a plain socket`);
  return result;
}
