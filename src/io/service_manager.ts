/**
 * Tells the service manager (systemd) that the broker serves, or stops: `Type=notify` (sd_notify(3)).
 *
 * On the control thread. Whoever was not started by a service manager tells nobody.
 *
 * @module
 */

import { encodeText, type Shim } from "./shim.ts";

export class ServiceManager {
  readonly #shim: Shim;
  readonly #socket: Uint8Array<ArrayBuffer>;

  /** @param socket what `NOTIFY_SOCKET` says; empty: there is no service manager */
  constructor(shim: Shim, socket: string) {
    this.#shim = shim;
    this.#socket = encodeText(socket);
  }

  /**
   * Sends assignments, one a line: `READY=1`, `STATUS=...`, `STOPPING=1`.
   *
   * @returns 0, or a negative errno: nobody listens. The broker serves all the same.
   */
  tell(assignments: string): number {
    if (this.#socket.length === 0) return 0;
    const text = encodeText(assignments);
    return this.#shim.gregor_notify(this.#socket, this.#socket.length, text, text.length);
  }
}
