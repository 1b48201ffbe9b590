/**
 * The messages for a broker's refusals on the command line.
 *
 * @module
 */

import { errorInfo } from "../../wire/errors.ts";
import { EXIT_FAILED } from "../exit_codes.ts";
import { Failure } from "../failure.ts";

/** The cluster refused the request. */
export class BrokerRefusal extends Failure {
  override name = "BrokerRefusal";
  /** The protocol's error code. */
  readonly errorCode: number;

  constructor(message: string, errorCode: number, hint: string | null) {
    super(EXIT_FAILED, message, hint);
    this.errorCode = errorCode;
  }
}

const STORAGE_HINT =
  "`gregor cluster health` says whether the disk is full or data is damaged, and what to do; the " +
  "broker's log names the files. To skip damage: consume --offset N, or start the broker once " +
  "with --accept-loss --verify.";

const HINTS: Readonly<Record<string, string>> = {
  UNKNOWN_TOPIC_OR_PARTITION:
    "`gregor topic list` shows the topics; `gregor topic create NAME` creates one.",
  TOPIC_ALREADY_EXISTS:
    "`gregor topic describe NAME` shows it; with --if-not-exists it is no error.",
  INVALID_REPLICATION_FACTOR: "`gregor cluster info` shows how many nodes there are.",
  KAFKA_STORAGE_ERROR: STORAGE_HINT,
  CORRUPT_MESSAGE: STORAGE_HINT,
  NON_EMPTY_GROUP: "Stop the group's members first; `gregor group describe NAME` shows them.",
  GROUP_ID_NOT_FOUND: "`gregor group list` shows the groups.",
  UNKNOWN_MEMBER_ID:
    "The group has live members; stop them first. `gregor group describe NAME` shows them.",
};

/** Makes a failure of an error code: `cannot DO: the broker's words (NAME)`. */
export function brokerRefusal(
  what: string,
  errorCode: number,
  brokerMessage: string | null = null,
): BrokerRefusal {
  const { name, message } = errorInfo(errorCode);
  const words = brokerMessage === null || brokerMessage === ""
    ? message
    : brokerMessage.replace(/\.$/, "");
  return new BrokerRefusal(`cannot ${what}: ${words} (${name})`, errorCode, HINTS[name] ?? null);
}
