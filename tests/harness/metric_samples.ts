/**
 * Reads pages in Prometheus' text format, strictly: what does not belong there fails.
 *
 * @module
 */

import { strict as assert } from "node:assert";

const SCRAPE_TIMEOUT_MS = 20_000;
const LINE =
  /^([\w:]+)(\{[a-z_]+="(?:[^"\\\n]|\\[\\"n])*"(?:,[a-z_]+="(?:[^"\\\n]|\\[\\"n])*")*\})? (\S+)$/;

/** A page's samples, by name and labels as they are written. */
export class MetricSamples {
  readonly types: ReadonlyMap<string, string>;
  readonly #samples: ReadonlyMap<string, number>;

  private constructor(types: Map<string, string>, samples: Map<string, number>) {
    this.types = types;
    this.#samples = samples;
  }

  /**
   * Fails where a family is not whole, a series comes twice, or a line is none.
   *
   * @param isForeign not ours: also summaries, and names with other characters
   */
  static parse(page: string, isForeign = false): MetricSamples {
    const types = new Map<string, string>();
    const samples = new Map<string, number>();
    let family = "";
    let isHelpSaid = false;
    assert.ok(page === "" || page.endsWith("\n"), "the last line has no end");
    for (const line of page.split("\n").slice(0, -1)) {
      const head = /^# (HELP|TYPE) ([\w:]+) (.+)$/.exec(line);
      if (head?.[1] === "HELP") {
        assert.ok(!types.has(head[2]!), `${head[2]} comes twice`);
        family = head[2]!;
        isHelpSaid = true;
        continue;
      }
      if (head?.[1] === "TYPE") {
        assert.ok(isHelpSaid && head[2] === family, line);
        types.set(family, head[3]!);
        continue;
      }
      const found = LINE.exec(line);
      assert.ok(found !== null, `no sample: ${line}`);
      const suffix = types.get(family) === "histogram" ? /_(?:bucket|sum|count)$/ : /$^/;
      if (!isForeign) assert.equal(found[1]!.replace(suffix, ""), family, line);
      const series = found[1]! + (found[2] ?? "");
      assert.ok(!samples.has(series), `${series} comes twice`);
      samples.set(series, found[3] === "+Inf" ? Infinity : Number(found[3]));
    }
    return new MetricSamples(types, samples);
  }

  /** Asks a node. */
  static async scrape(admin: string, path = "/public_metrics"): Promise<MetricSamples> {
    const signal = AbortSignal.timeout(SCRAPE_TIMEOUT_MS);
    const response = await fetch(`http://${admin}${path}`, { signal });
    const page = await response.text();
    assert.equal(response.status, 200, page);
    assert.match(response.headers.get("content-type") ?? "", /^text\/plain; version=0\.0\.4/);
    return MetricSamples.parse(page);
  }

  /** Every series and its value. */
  entries(): Iterable<[string, number]> {
    return this.#samples.entries();
  }

  /** The value of a series as it is written; undefined: there is none. */
  get(series: string): number | undefined {
    return this.#samples.get(series);
  }

  /** The sum over the series of a name that have all these labels. */
  sum(name: string, labels: Readonly<Record<string, string>> = {}): number {
    return this.#find(name, labels).reduce((sum, value) => sum + value, 0);
  }

  /** How many such series there are. */
  count(name: string, labels: Readonly<Record<string, string>> = {}): number {
    return this.#find(name, labels).length;
  }

  #find(name: string, labels: Readonly<Record<string, string>>): number[] {
    const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
    return [...this.#samples]
      .filter(([series]) => series === name || series.startsWith(`${name}{`))
      .filter(([series]) => wanted.every((label) => series.includes(label)))
      .map(([, value]) => value);
  }
}
