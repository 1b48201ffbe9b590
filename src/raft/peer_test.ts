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

Deno.test("a peer that answers with less than it once had is not in sync", () => {
  const peer = new Peer(1, 0);
  peer.beginTerm(10, 1_000);
  peer.noteMatch(10);
  peer.noteHeard(10, 10, false, 1_100);
  assert(peer.isInSync(1_100));
  // Its log turns out to be damaged: it answers that nothing is durable.
  for (let nowMs = 1_200; nowMs < 2_000; nowMs += 100) {
    assert.equal(peer.noteMatch(0), false);
    peer.noteHeard(0, 10, true, nowMs);
    assert(!peer.isInSync(-1e9), `at ${nowMs}`);
  }
  // To the next leader it never had anything.
  peer.beginTerm(10, 3_000);
  assert(peer.isInSync(3_000));
  peer.noteHeard(0, 10, true, 3_100);
  assert(!peer.isInSync(-1e9));
});

Deno.test("a peer whose disk is full is not in sync until it has taken something", () => {
  const peer = new Peer(1, 0);
  peer.beginTerm(10, 1_000);
  peer.noteFull(true, false);
  assert(!peer.isInSync(0));
  // It asks for more, and will refuse that, too.
  peer.noteFull(false, false);
  assert(!peer.isInSync(0));
  peer.noteFull(false, true);
  assert(peer.isInSync(0));
});
