/**
 * The admin HTTP server of a node, on the control thread: what probes and people ask.
 *
 * - `GET /v1/status/ready`: 200 once the broker serves, 503 while it cannot serve all that it should (it starts, its
 *   disk is full, partitions are damaged or have no leader), with what is wrong and what to do. What is wrong
 *   elsewhere (nodes that cannot be reached, replicas that lag) are warnings, in both
 * - `GET /v1/status/live`: 200 while the control thread runs
 *
 * @module
 */

import type { NodeProbe } from "../shard/broker.ts";

export interface AdminServer {
  readonly port: number;
  stop(): Promise<void>;
}

/**
 * Starts serving on `host:port`; port 0 takes any free one.
 *
 * @throws {Deno.errors.AddrInUse} when somebody else listens there
 */
export function startAdmin(host: string, port: number, node: NodeProbe): AdminServer {
  const server = Deno.serve({ hostname: host, port, onListen: () => {} }, (request) => {
    const { pathname } = new URL(request.url);
    switch (pathname) {
      case "/v1/status/ready":
        return readiness(node);
      case "/v1/status/live":
        return Response.json({ status: "live" });
      default:
        return Response.json({ error: "There is nothing at this path" }, { status: 404 });
    }
  });
  return { port: server.addr.port, stop: () => server.shutdown() };
}

function readiness(node: NodeProbe): Response {
  const problems = node.problems();
  const warnings = node.warnings();
  const isReady = problems.length === 0;
  return Response.json({
    status: isReady ? "ready" : "not ready",
    ...(node.clusterId === "" ? {} : { cluster_id: node.clusterId }),
    ...(isReady ? {} : { problems }),
    ...(warnings.length === 0 ? {} : { warnings }),
  }, { status: isReady ? 200 : 503 });
}
