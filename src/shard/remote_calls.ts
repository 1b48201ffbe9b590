/**
 * Cold requests between shards: an encoded request goes out in a block of the caller's memory, the
 * encoded response comes back in a block of the callee's.
 *
 * ```text
 *   request block:  u32 clientIdLength (0xffffffff: null)  bytes  u32 clientHostLength  bytes  body
 *   reply block:    body, or the next part of it
 * ```
 *
 * Both sides copy what they receive at once, so that each block lives for one round trip. What is not
 * answered at once may be long in coming (a group's members wait for each other), and many may be; so the
 * callee sends CALL_TAKEN, and neither a credit nor memory is held until the answer.
 *
 * An answer that is larger than a block may be travels in parts, one after another in the same block: CALL_PART,
 * RELEASE_BLOCK, CALL_PART and so on, with the last part in CALL_REPLY.
 *
 * @module
 */

import type { Memory } from "../bytes/memory.ts";
import { type Task, until } from "../io/task.ts";
import type { Caller, RemoteCalls } from "../kafka/router.ts";
import type { Calls } from "./calls.ts";
import { type Mailboxes, messageArgument } from "./mailbox.ts";
import { MessageType } from "./messages.ts";
import type { Outbox } from "./outbox.ts";
import type { ShardMemory } from "./shard_memory.ts";

const NO_CLIENT_ID = 0xffffffff;
/** The most of an answer that is in the region at a time (bytes). */
const PART_SIZE = 1024 * 1024;

/** Serves a request that another shard sent. */
export type ServeRemote = (
  apiKey: number,
  version: number,
  caller: Caller,
  body: Uint8Array,
  done: (response: Uint8Array | null) => void,
) => void;

/** A call of another shard that is served here. */
interface Served {
  readonly fromShard: number;
  readonly call: number;
  answered: boolean;
  /** Its credit went back: the answer travels without one. */
  taken: boolean;
}

/** An answer that travels in parts. */
interface LongReply {
  readonly served: Served;
  readonly response: Uint8Array;
  /** So much of it was sent. */
  sent: number;
}

export class ShardRemoteCalls implements RemoteCalls {
  readonly #memory: Memory;
  readonly #blocks: ShardMemory;
  readonly #calls: Calls;
  readonly #mailboxes: Mailboxes;
  readonly #outbox: Outbox;
  readonly #encoder = new TextEncoder();
  readonly #decoder = new TextDecoder();
  /** By the address of the block that a part is in. */
  readonly #long = new Map<number, LongReply>();

  constructor(
    carriers: {
      readonly memory: Memory;
      readonly blocks: ShardMemory;
      readonly calls: Calls;
      readonly outbox: Outbox;
    },
  ) {
    this.#memory = carriers.memory;
    this.#blocks = carriers.blocks;
    this.#calls = carriers.calls;
    this.#mailboxes = carriers.calls.mailboxes;
    this.#outbox = carriers.outbox;
  }

  *call(
    shard: number,
    apiKey: number,
    version: number,
    caller: Caller,
    body: Uint8Array,
  ): Task<Uint8Array | null> {
    const clientId = caller.clientId === null ? null : this.#encoder.encode(caller.clientId);
    const host = this.#encoder.encode(caller.clientHost);
    const length = 8 + (clientId?.length ?? 0) + host.length + body.length;
    if (length > this.#blocks.responseSizeMax) return null;
    const block = yield* this.#allocate(length);
    const { view, bytes } = this.#memory;
    let at = block;
    view.setUint32(at, clientId === null ? NO_CLIENT_ID : clientId.length, true);
    at += 4;
    if (clientId !== null) bytes.set(clientId, at);
    at += clientId?.length ?? 0;
    view.setUint32(at, host.length, true);
    bytes.set(host, at + 4);
    bytes.set(body, at + 4 + host.length);
    while (!this.#calls.hasCredit(shard)) {
      yield* until<void>((done) => this.#calls.awaitCredit(done));
    }
    let isTaken = false;
    const onTaken = (): void => {
      if (!isTaken) this.#blocks.releaseResponse(block);
      isTaken = true;
    };
    const parts: Uint8Array[] = [];
    return yield* until<Uint8Array | null>((done) => {
      const id = this.#calls.open(shard, {
        onTaken,
        onPart: (from, partView, partAt) => parts.push(this.#takePart(from, partView, partAt)!),
        onReply: (from, replyView, replyAt) => {
          onTaken();
          const last = this.#takePart(from, replyView, replyAt);
          done(parts.length === 0 || last === null ? last : joined([...parts, last]));
        },
      });
      this.#mailboxes.send(shard, MessageType.CALL, id, apiKey, version, block, length);
    });
  }

  /** A CALL message came. */
  onCall(fromShard: number, call: number, view: DataView, at: number, serve: ServeRemote): void {
    const apiKey = messageArgument(view, at, 0);
    const version = messageArgument(view, at, 1);
    let from = messageArgument(view, at, 2);
    const end = from + messageArgument(view, at, 3);
    const { bytes, view: region } = this.#memory;
    const clientIdLength = region.getUint32(from, true);
    from += 4;
    let clientId: string | null = null;
    if (clientIdLength !== NO_CLIENT_ID) {
      clientId = this.#decoder.decode(bytes.slice(from, from + clientIdLength));
      from += clientIdLength;
    }
    const hostLength = region.getUint32(from, true);
    from += 4;
    const clientHost = this.#decoder.decode(bytes.slice(from, from + hostLength));
    const body = bytes.slice(from + hostLength, end);
    const served: Served = { fromShard, call, answered: false, taken: false };
    serve(apiKey, version, { clientId, clientHost }, body, (response) => {
      served.answered = true;
      this.#reply(served, response);
    });
    if (!served.answered) this.#take(served);
  }

  /** A RELEASE_BLOCK message came: the caller has read a reply, or a part of it. */
  onRelease(view: DataView, at: number): void {
    const address = messageArgument(view, at, 0);
    const long = this.#long.get(address);
    if (long === undefined) this.#blocks.releaseResponse(address);
    else this.#sendPart(address, long);
  }

  #takePart(fromShard: number, view: DataView, at: number): Uint8Array | null {
    const address = messageArgument(view, at, 0);
    const length = messageArgument(view, at, 1);
    if (length < 0) return null;
    const body = this.#memory.bytes.slice(address, address + length);
    this.#outbox.send(fromShard, MessageType.RELEASE_BLOCK, 0, address);
    return body;
  }

  #reply(served: Served, response: Uint8Array | null): void {
    if (response === null) {
      this.#sendReply(served, 0, -1);
      return;
    }
    const isLong = response.length > Math.min(PART_SIZE, this.#blocks.responseSizeMax);
    const size = isLong ? Math.min(PART_SIZE, this.#blocks.responseSizeMax) : response.length;
    const address = this.#blocks.allocateResponse(Math.max(1, size));
    if (address < 0) {
      this.#blocks.whenReleased(() => this.#reply(served, response));
      return;
    }
    if (isLong) {
      this.#take(served);
      const long: LongReply = { served, response, sent: 0 };
      this.#long.set(address, long);
      this.#sendPart(address, long);
      return;
    }
    this.#memory.bytes.set(response, address);
    this.#sendReply(served, address, response.length);
  }

  #sendPart(address: number, long: LongReply): void {
    const { served, response, sent } = long;
    const size = Math.min(PART_SIZE, this.#blocks.responseSizeMax, response.length - sent);
    this.#memory.bytes.set(response.subarray(sent, sent + size), address);
    long.sent += size;
    if (long.sent < response.length) {
      this.#outbox.send(served.fromShard, MessageType.CALL_PART, served.call, address, size);
      return;
    }
    this.#long.delete(address);
    this.#sendReply(served, address, size);
  }

  /** Gives the call's credit back: the answer is long in coming. */
  #take(served: Served): void {
    if (served.taken) return;
    served.taken = true;
    this.#mailboxes.send(served.fromShard, MessageType.CALL_TAKEN, served.call);
  }

  #sendReply({ fromShard, call, taken }: Served, address: number, length: number): void {
    const sender = taken ? this.#outbox : this.#mailboxes;
    sender.send(fromShard, MessageType.CALL_REPLY, call, address, length);
  }

  *#allocate(size: number): Task<number> {
    for (;;) {
      const address = this.#blocks.allocateResponse(size);
      if (address >= 0) return address;
      yield* until<void>((done) => this.#blocks.whenReleased(done));
    }
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
