/**
 * What a shard does with each message of another one: straight to the part it concerns.
 *
 * @module
 */

import { unreachable } from "../base/assert.ts";
import { type MailboxReceiver, messageArgument } from "./mailbox.ts";
import { MessageType } from "./messages.ts";
import { onMetadata, type WhenSettled } from "./metadata_feed.ts";
import type { Shard } from "./shard.ts";

export class Receiver implements MailboxReceiver {
  readonly #shard: Shard;

  constructor(shard: Shard) {
    this.#shard = shard;
  }

  onMessage(fromShard: number, type: number, call: number, view: DataView, at: number): void {
    const shard = this.#shard;
    switch (type) {
      case MessageType.PRODUCE:
        return shard.remoteProduce.onProduce(fromShard, call, view, at);
      case MessageType.PRODUCE_TAKEN:
        return shard.remoteProduce.onTaken(call);
      case MessageType.FETCH:
        return shard.remoteFetch.onFetch(fromShard, call, view, at);
      case MessageType.PRODUCE_REPLY:
      case MessageType.FETCH_REPLY:
      case MessageType.CALL_REPLY:
      case MessageType.METADATA_REPLY:
        return shard.calls.reply(fromShard, call, view, at);
      case MessageType.CALL_PART:
        return shard.calls.find(call).onPart?.(fromShard, view, at);
      case MessageType.CALL_TAKEN:
        return shard.calls.taken(fromShard, call);
      case MessageType.FETCH_RELEASE:
        return shard.remoteFetch.onRelease(view, at);
      case MessageType.WATCH:
        return shard.news.onWatch(fromShard, view, at);
      case MessageType.NEWS:
        return shard.news.onNews(view, at);
      case MessageType.LEADERS:
        return shard.leaderNews.onLeaders(view, at);
      case MessageType.NODES:
        return shard.nodeNews.onNodes(view, at);
      case MessageType.CALL:
        return this.#onCall(fromShard, call, view, at);
      case MessageType.RELEASE_BLOCK:
        return shard.remoteCalls.onRelease(view, at);
      case MessageType.METADATA:
        return this.#onMetadata(fromShard, call, view, at);
      case MessageType.CONNECTION:
        return this.#onConnection(view, at);
      case MessageType.PEER_CONNECTION:
        return shard.peers.nodeLinks.onPeerConnection(view, at);
      default:
        unreachable(`a shard sent a message of unknown type ${type}`);
    }
  }

  #onCall(fromShard: number, call: number, view: DataView, at: number): void {
    const { remoteCalls, router } = this.#shard;
    remoteCalls.onCall(fromShard, call, view, at, (apiKey, version, caller, body, done) => {
      router.serveRemote(apiKey, version, caller, body, done);
    });
  }

  #onMetadata(fromShard: number, call: number, view: DataView, at: number): void {
    const { image, partitions, calls, options } = this.#shard;
    const whenSettled: WhenSettled = (done) => this.#shard.whenSettled(done);
    onMetadata(image, partitions, options.memory, calls, whenSettled, {
      fromShard,
      call,
      view,
      at,
    });
  }

  #onConnection(view: DataView, at: number): void {
    const socket = messageArgument(view, at, 0);
    this.#shard.server.adopt(socket, this.#shard.options.peerOf(socket));
  }
}
