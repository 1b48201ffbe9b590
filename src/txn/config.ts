/**
 * The settings of a transaction coordinator, under Kafka's names and with Kafka's defaults, as plain numbers.
 *
 * @module
 */

import { Settings } from "../base/settings.ts";

export interface TransactionConfig {
  /** `transaction.max.timeout.ms` */
  readonly timeoutMaxMs: number;
  /** `transactional.id.expiration.ms`: how long an id without a transaction is kept. */
  readonly idExpirationMs: number;
  /** `transaction.abort.timed.out.transaction.cleanup.interval.ms` */
  readonly timeoutCheckMs: number;
  /** `transaction.remove.expired.transaction.cleanup.interval.ms` */
  readonly expirationCheckMs: number;
}

/** What `settings` say about transactions. */
export function transactionConfigOf(settings: Settings): TransactionConfig {
  return {
    timeoutMaxMs: settings.number("transaction.max.timeout.ms"),
    idExpirationMs: settings.number("transactional.id.expiration.ms"),
    timeoutCheckMs: settings.number("transaction.abort.timed.out.transaction.cleanup.interval.ms"),
    expirationCheckMs: settings.number(
      "transaction.remove.expired.transaction.cleanup.interval.ms",
    ),
  };
}

/** Kafka's defaults. */
export const DEFAULT_TRANSACTION_CONFIG: TransactionConfig = transactionConfigOf(new Settings());
