/**
 * docs/BENCHMARKS.md: a text that stays, and between two marks the sections that `--write` measured, each with its host.
 *
 * @module
 */

import { fileSystemOf } from "../../src/cli/host.ts";
import type { Plan } from "./comparisons.ts";

const FROM = "<!-- measured: from here to the end mark, `deno task bench --write` writes -->";
const TO = "<!-- end of what was measured -->";

/** Says where and how it was measured. */
export function hostLine(directory: string, plan: Plan): string {
  const { osRelease } = Deno;
  const memory = Math.round(Deno.systemMemoryInfo().total / 2 ** 30);
  return `Linux ${osRelease().split("-")[0]}, ${navigator.hardwareConcurrency} processors, ` +
    `${memory} GiB, Deno ${Deno.version.deno}; files on ${
      fileSystemOf(directory) ?? "an unknown file system"
    }. ` +
    `Medians of ${plan.rounds} rounds of ${plan.seconds} s, in brackets the lowest and highest.`;
}

/**
 * Puts what was measured into the page: each section (a heading of the second level and what is below it) in the place of the
 * section with the same heading, or behind the last one. Sections that were not measured stay as they are.
 */
export function writePage(path: string, host: string, sections: readonly string[]): void {
  Deno.writeTextFileSync(path, withMeasured(Deno.readTextFileSync(path), host, sections));
}

export function withMeasured(page: string, host: string, sections: readonly string[]): string {
  const from = page.indexOf(FROM);
  const to = page.indexOf(TO);
  if (from < 0 || to < from) throw new Error("Cannot write the page: its marks are missing");
  const kept = new Map<string, string>();
  for (const section of page.slice(from + FROM.length, to).split(/^(?=## )/m)) {
    if (section.startsWith("## ")) kept.set(headingOf(section), section.trim());
  }
  for (const section of sections) {
    const heading = headingOf(section);
    kept.set(heading, `${heading}\n\n${host}${section.slice(heading.length)}`);
  }
  const measured = [...kept.values()].join("\n\n");
  return `${page.slice(0, from + FROM.length)}\n\n${measured}\n\n${page.slice(to)}`;
}

function headingOf(section: string): string {
  return section.slice(0, section.indexOf("\n"));
}
