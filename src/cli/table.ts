/**
 * Tables for people: aligned columns, numbers to the right, headings in bold where that can be seen.
 * A pipe gets the same text without colour, so that `awk` sees what people see.
 *
 * @module
 */

import { bold, type Terminal } from "./terminal.ts";

/** A column: its heading, and whether its cells are numbers. */
export interface Column {
  readonly heading: string;
  readonly isNumber?: boolean;
}

/** Lays `rows` out under `columns`; ends with a line end. */
export function formatTable(
  terminal: Terminal,
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
): string {
  const widths = columns.map((column, at) =>
    Math.max(displayWidth(column.heading), ...rows.map((row) => displayWidth(row[at] ?? "")))
  );
  const layOut = (cells: readonly string[]): string =>
    columns.map((column, at) => {
      const cell = cells[at] ?? "";
      const padding = " ".repeat(widths[at]! - displayWidth(cell));
      return column.isNumber === true ? padding + cell : cell + padding;
    }).join("  ").trimEnd();
  const heading = layOut(columns.map((column) => column.heading));
  return [bold(terminal, heading), ...rows.map(layOut)].join("\n") + "\n";
}

/** Lays out `name  value` lines, as a description of one thing. */
export function formatFields(fields: readonly (readonly [string, string])[]): string {
  const width = Math.max(...fields.map(([name]) => name.length));
  return fields.map(([name, value]) => `${name.padEnd(width)}  ${value}`.trimEnd()).join("\n") +
    "\n";
}

/** Columns a text takes: combining marks none, East Asian wide characters two. */
export function displayWidth(text: string): number {
  let width = 0;
  for (const char of text) {
    if (/\p{Mn}|\p{Me}|\p{Cf}/u.test(char)) continue;
    width +=
      /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]/
          .test(char) || char.codePointAt(0)! >= 0x1f300
        ? 2
        : 1;
  }
  return width;
}

/** Breaks `text` into lines of at most `width`, each after the first indented by `indent` spaces. */
export function wrap(text: string, width: number, indent = 0): string {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(/\s+/)) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  lines.push(line);
  return lines.join("\n" + " ".repeat(indent));
}
