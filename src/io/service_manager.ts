/**
 * Tells the service manager (systemd) how the start goes, that the broker serves, or stops: `Type=notify`
 * (sd_notify(3)).
 *
 * On the control thread. Whoever was not started by a service manager tells nobody. A message that does not arrive is
 * no reason not to serve.
 *
 * @module
 */

import { type LogFields, type Logger, LogLevel } from "../base/logger.ts";
import { encodeText, type Shim } from "./shim.ts";

/** Longer ones are cut: they are one line of `systemctl status` (characters). */
const STATUS_LENGTH_MAX = 300;

export class ServiceManager {
  readonly #shim: Shim;
  readonly #socket: Uint8Array<ArrayBuffer>;
  #isStarting = true;

  /** @param socket what `NOTIFY_SOCKET` says; empty: there is no service manager */
  constructor(shim: Shim, socket: string) {
    this.#shim = shim;
    this.#socket = encodeText(socket);
  }

  /** The broker serves. */
  ready(status: string): void {
    this.#isStarting = false;
    this.#tell(`READY=1\n${statusLine(status)}`);
  }

  stopping(status: string): void {
    this.#tell(`STOPPING=1\n${statusLine(status)}`);
  }

  /** A logger whose lines are the status too, until the broker serves. */
  told(logger: Logger): Logger {
    return {
      log: (level: LogLevel, message: string, fields?: LogFields) => {
        logger.log(level, message, fields);
        if (!this.#isStarting || level < LogLevel.INFO) return;
        const why = fields?.["why"];
        this.#tell(statusLine(why === undefined ? message : `${message}: ${why}`));
      },
    };
  }

  #tell(assignments: string): void {
    if (this.#socket.length === 0) return;
    const text = encodeText(assignments);
    this.#shim.gregor_notify(this.#socket, this.#socket.length, text, text.length);
  }
}

function statusLine(status: string): string {
  return `STATUS=${status.replaceAll("\n", " ").slice(0, STATUS_LENGTH_MAX)}`;
}
