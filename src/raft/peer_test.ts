import { strict as assert } from "node:assert";
import { FLIGHT_BEATS_MAX, PROBE_BEATS_MAX } from "./limits.ts";
import { Peer } from "./peer.ts";

/** Heartbeats that a peer answers without having got further, until what was sent to it is taken for lost. */
function beatsUntilLost(peer: Peer): number {
  for (let beats = 1;; beats++) if (peer.isStuck(0)) return beats;
}

Deno.test("a batch that takes long to send is not taken for lost, and sent again behind itself", () => {
  const small = new Peer(1, 0);
  small.probe(1);
  small.noteSent(3, 50_000);
  assert.equal(beatsUntilLost(small), PROBE_BEATS_MAX);
  const large = new Peer(1, 0);
  large.probe(1);
  large.noteSent(3, 100 * 2 ** 20);
  assert.ok(beatsUntilLost(large) > 300);
  const ahead = new Peer(1, 0);
  ahead.replicate(1);
  ahead.noteSent(3, 2 ** 20);
  assert.equal(beatsUntilLost(ahead), FLIGHT_BEATS_MAX);
});
