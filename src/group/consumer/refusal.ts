/**
 * Why a request about a consumer group is refused.
 *
 * @module
 */

export interface Refusal {
  readonly errorCode: number;
  /** For people, in Kafka's words where it has some. */
  readonly errorMessage: string | null;
}

export function refusal(errorCode: number, errorMessage: string | null = null): Refusal {
  return { errorCode, errorMessage };
}
