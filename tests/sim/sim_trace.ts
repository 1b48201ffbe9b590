/**
 * What happened in a simulation, line by line, for people: virtual time, who, what.
 *
 * @module
 */

const WHO_WIDTH = 10;

export class SimTrace {
  readonly #print: (line: string) => void;
  readonly #nowMs: () => number;

  constructor(nowMs: () => number, print: (line: string) => void) {
    this.#nowMs = nowMs;
    this.#print = print;
  }

  note(who: string, what: string): void {
    this.#print(`${this.#nowMs().toFixed(2).padStart(10)} ${who.padEnd(WHO_WIDTH)} ${what}`);
  }
}
