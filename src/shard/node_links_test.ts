import { strict as assert } from "node:assert";
import fc from "../../tests/harness/fast_check.ts";
import { wrapMemory } from "../bytes/memory.ts";
import type { IncomingPeer } from "../rpc/peer_links.ts";
import { Lane } from "../rpc/preamble.ts";
import { Mailboxes, mailboxesSize, messageArgument } from "./mailbox.ts";
import { MessageType } from "./messages.ts";
import { readPeer, sendPeer } from "./node_links.ts";

Deno.test("a connection of another node reaches its shard with all that its preamble said", () => {
  const memory = wrapMemory(new ArrayBuffer(mailboxesSize(2)));
  const [from, to] = [0, 1].map((shard) => new Mailboxes(memory, 0, shard, 2));
  fc.assert(fc.property(
    fc.record({
      socket: fc.integer({ min: 0, max: 2 ** 31 - 1 }),
      nodeId: fc.integer({ min: 0, max: 2 ** 31 - 1 }),
      incarnation: fc.array(fc.integer({ min: 0, max: 15 }), { minLength: 32, maxLength: 32 }),
      process: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
      shardCount: fc.integer({ min: 1, max: 1024 }),
      fromShard: fc.nat(),
      lane: fc.constantFrom(Lane.CONTROL, Lane.DATA),
      logicalVersion: fc.integer({ min: 0, max: 2 ** 30 }),
    }),
    ({ socket, nodeId, ...rest }) => {
      const incarnation = rest.incarnation.map((digit) => digit.toString(16)).join("");
      const fromShard = rest.fromShard % rest.shardCount;
      const said = { ...rest, incarnation, fromShard };
      const place = { targetShard: 1, targetNode: 1, clusterId: "" };
      sendPeer(from!, 1, socket, { ...said, ...place, nodeId });
      from!.publish(() => {});
      const arrived: [number, number, IncomingPeer][] = [];
      to!.drain({
        onMessage: (_from, type, _call, view, at) => {
          arrived.push([type, messageArgument(view, at, 0), readPeer(view, at)]);
        },
      });
      const expected = { ...said, node: nodeId };
      assert.deepEqual(arrived, [[MessageType.PEER_CONNECTION, socket, expected]]);
    },
  ));
});
