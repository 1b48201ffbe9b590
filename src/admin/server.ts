/**
 * The admin HTTP server of a node, on the control thread: what probes and people ask.
 *
 * - `GET /v1/status/ready`: 200 once the broker serves, 503 while it cannot serve all that it should (a full
 *   disk, damaged partitions), with what is wrong and what to do
 * - `GET /v1/status/live`: 200 while the control thread runs
 *
 * @module
 */

import type { Broker } from "../shard/broker.ts";

export interface AdminServer {
  readonly port: number;
  stop(): Promise<void>;
}

/**
 * Starts serving on `host:port`; port 0 takes any free one.
 *
 * @throws {Deno.errors.AddrInUse} when somebody else listens there
 */
export function startAdmin(host: string, port: number, broker: Broker): AdminServer {
  const server = Deno.serve({ hostname: host, port, onListen: () => {} }, (request) => {
    const { pathname } = new URL(request.url);
    switch (pathname) {
      case "/v1/status/ready":
        return readiness(broker);
      case "/v1/status/live":
        return Response.json({ status: "live" });
      default:
        return Response.json({ error: "There is nothing at this path" }, { status: 404 });
    }
  });
  return { port: server.addr.port, stop: () => server.shutdown() };
}

function readiness(broker: Broker): Response {
  const problems = broker.problems();
  const isReady = problems.length === 0;
  return Response.json({
    status: isReady ? "ready" : "not ready",
    cluster_id: broker.started.clusterId,
    ...(isReady ? {} : { problems }),
  }, { status: isReady ? 200 : 503 });
}
