/**
 * docs/BENCHMARKS.md: a text that stays, and between two marks what the last `--write` measured.
 *
 * @module
 */

import type { Plan } from "./comparisons.ts";

const FROM = "<!-- measured: from here to the end mark, `deno task bench --write` writes -->";
const TO = "<!-- end of what was measured -->";

/** Says where and how it was measured. */
export function hostLine(directory: string, plan: Plan): string {
  const { osRelease } = Deno;
  const memory = Math.round(Deno.systemMemoryInfo().total / 2 ** 30);
  return `Linux ${osRelease().split("-")[0]}, ${navigator.hardwareConcurrency} processors, ` +
    `${memory} GiB, Deno ${Deno.version.deno}; files on ${fileSystemOf(directory)}. ` +
    `Medians of ${plan.rounds} rounds of ${plan.seconds} s, in brackets the lowest and highest.`;
}

/** Type of the file system that holds `directory`, as the kernel names it. */
function fileSystemOf(directory: string): string {
  const path = Deno.realPathSync(directory);
  let best = "";
  let type = "an unknown file system";
  for (const line of Deno.readTextFileSync("/proc/self/mounts").split("\n")) {
    const [, point, kind] = line.split(" ");
    if (point === undefined || kind === undefined || point.length < best.length) continue;
    if (path !== point && !path.startsWith(point.endsWith("/") ? point : `${point}/`)) continue;
    best = point;
    type = kind;
  }
  return type;
}

/** Replaces what stands between the marks of the page. */
export function writePage(path: string, measured: string): void {
  Deno.writeTextFileSync(path, withMeasured(Deno.readTextFileSync(path), measured));
}

export function withMeasured(page: string, measured: string): string {
  const from = page.indexOf(FROM);
  const to = page.indexOf(TO);
  if (from < 0 || to < from) throw new Error("Cannot write the page: its marks are missing");
  return `${page.slice(0, from + FROM.length)}\n\n${measured}\n\n${page.slice(to)}`;
}
