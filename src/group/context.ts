/**
 * The context of a request to a group coordinator: the client, the time, and the version of the API.
 *
 * @module
 */

export interface GroupContext {
  /** The version of the request. */
  readonly version: number;
  readonly clientId: string | null;
  /** Kafka's form: a slash and the address. */
  readonly clientHost: string;
  /** Monotonic clock (ms), for timeouts. */
  readonly nowMs: number;
  /** Wall clock (ms since the epoch), for records. */
  readonly wallMs: number;
}
