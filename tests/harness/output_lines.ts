/**
 * A child's output: read as it comes, so that the pipe never fills and blocks the child; its newest part
 * kept for a failure's message.
 *
 * @module
 */

const KEPT_CHARACTERS_MAX = 64 * 1024;

export class OutputLines {
  /** Settles at the end of the output. */
  readonly ended: Promise<void>;
  #text = "";
  #firstLine: string | null = null;
  #onFirstLine: () => void = () => {};

  constructor(output: ReadableStream<Uint8Array>) {
    this.ended = this.#read(output);
  }

  /** The newest part of what was written. */
  get text(): string {
    return this.#text;
  }

  /** The first line, or null when the output ended or `timeoutMs` passed without one. */
  async firstLine(timeoutMs: number): Promise<string | null> {
    if (this.#firstLine === null) {
      let timer: ReturnType<typeof setTimeout> | undefined;
      await Promise.race([
        new Promise<void>((resolve) => this.#onFirstLine = resolve),
        this.ended,
        new Promise<void>((resolve) => timer = setTimeout(resolve, timeoutMs)),
      ]);
      clearTimeout(timer);
    }
    return this.#firstLine;
  }

  async #read(output: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of output) {
      this.#text = (this.#text + decoder.decode(chunk, { stream: true })).slice(
        -KEPT_CHARACTERS_MAX,
      );
      const newline = this.#text.indexOf("\n");
      if (this.#firstLine === null && newline >= 0) {
        this.#firstLine = this.#text.slice(0, newline);
        this.#onFirstLine();
      }
    }
  }
}
