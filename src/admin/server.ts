/**
 * The admin HTTP server of a node, on the control thread: what probes and people ask.
 *
 * - `GET /v1/status/ready`: 200 once the broker serves, 503 while it cannot serve all that it should (it starts, its
 *   disk is full, partitions are damaged or have no leader), with what is wrong and what to do. What is wrong
 *   elsewhere (nodes that cannot be reached, replicas that lag) are warnings, in both
 * - `GET /v1/status/live`: 200 while the control thread runs
 * - `GET /metrics`, `GET /public_metrics`: for Prometheus, from the beginning of the start on (`docs/METRICS.md`)
 *
 * @module
 */

import { CONTENT_TYPE } from "../metrics/exposition.ts";
import type { NodeProbe } from "../shard/broker.ts";
import { metricsPage } from "./metrics_page.ts";

/** Characters of a page that are encoded at once. */
const CHUNK_LENGTH_MIN = 64 * 1024;

export interface AdminServer {
  readonly port: number;
  /** Closes all connections: a client that does not read its page must not keep the node from stopping. */
  stop(): Promise<void>;
}

/**
 * Starts serving on `host:port`; port 0 takes any free one.
 *
 * @param version of the program
 *
 * @throws {Deno.errors.AddrInUse} when somebody else listens there
 */
export function startAdmin(
  host: string,
  port: number,
  node: NodeProbe,
  version: string,
): AdminServer {
  const open = new AbortController();
  const options = { hostname: host, port, signal: open.signal, onListen: () => {} };
  const server = Deno.serve(options, (request) => {
    const { pathname } = new URL(request.url);
    switch (pathname) {
      case "/v1/status/ready":
        return readiness(node);
      case "/v1/status/live":
        return Response.json({ status: "live" });
      case "/metrics":
        return metrics(node, version, false);
      case "/public_metrics":
        return metrics(node, version, true);
      default:
        return Response.json({ error: "There is nothing at this path" }, { status: 404 });
    }
  });
  const stop = (): Promise<void> => {
    open.abort();
    return server.finished;
  };
  return { port: server.addr.port, stop };
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

async function metrics(node: NodeProbe, version: string, isPublic: boolean): Promise<Response> {
  const rows = await node.collectMetrics();
  const problems = node.problems();
  const page = metricsPage({
    recorded: node.recorded,
    rows,
    version,
    uptimeS: performance.now() / 1000,
    isReady: problems.length === 0,
    isDiskFull: problems.some(({ kind }) => kind === "disk-full"),
    isPublic,
  });
  return new Response(streamOf(page), { headers: { "content-type": CONTENT_TYPE } });
}

/** The pieces of a page as they are taken: the thread does other work in between. */
function streamOf(pieces: Iterator<string>): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  return new ReadableStream({
    pull(controller) {
      let text = "";
      while (text.length < CHUNK_LENGTH_MIN) {
        const piece = pieces.next();
        if (piece.done === true) {
          if (text !== "") controller.enqueue(encoder.encode(text));
          controller.close();
          return;
        }
        text += piece.value;
      }
      controller.enqueue(encoder.encode(text));
    },
  });
}
