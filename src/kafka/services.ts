/**
 * What a handler may use of its shard: built once per shard in `src/shard/wiring.ts`.
 *
 * Every field is an interface of the part that owns it, so that handlers can be tested with a few
 * plain objects.
 *
 * @module
 */

import type { Task } from "../io/task.ts";
import type { Api } from "../wire/api.ts";

export interface Services {
  /** This shard's index. */
  readonly shard: number;
  readonly shardCount: number;
  readonly nodeId: number;

  /**
   * Runs an API where its route says, as if a client had asked this node: how a handler asks another
   * shard (auto topic creation from Metadata, internal topics from FindCoordinator).
   */
  call<Request, Response>(
    api: Api<Request, Response>,
    version: number,
    request: Request,
  ): Task<Response>;
}
