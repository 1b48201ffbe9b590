import { strict as assert } from "node:assert";
import { METRICS } from "../metrics/catalog.ts";
import { alertsOf, prometheusRules, runbookUrl } from "./alerts.ts";
import { DASHBOARD, grafanaDashboard } from "./dashboard.ts";

/** Names of metrics in an expression. */
function metricsOf(expr: string): string[] {
  return [...expr.matchAll(/\b(?:redpanda|gregor)_[a-z_]+(?=[{[ )]|_bucket|$)/g)].map(([name]) =>
    name
  )
    .filter((name) =>
      !/^redpanda_(?:topic|partition|group|request|server|version|namespace)$/.test(name)
    );
}

/** Fails where a name is not that of a metric of the public page. */
function assertPublic(expr: string): void {
  const names = metricsOf(expr);
  assert.ok(names.length > 0, expr);
  for (const name of names) {
    const base = METRICS.find((metric) =>
      metric.name === name || (metric.type === "histogram" && name.startsWith(`${metric.name}_`))
    );
    assert.ok(base?.isPublic === true, `${name} in ${expr}`);
  }
}

Deno.test("every alert uses metrics of the public page, and has its section in the runbook", () => {
  const runbook = Deno.readTextFileSync(new URL("../../docs/OPERATIONS.md", import.meta.url));
  const headings = [...runbook.matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
    heading!.toLowerCase()
  );
  for (const alert of alertsOf("gregor")) {
    if (alert.name !== "GregorNodeDown") assertPublic(alert.expr);
    const anchor = runbookUrl(alert, "page").split("#")[1]!;
    assert.ok(headings.includes(anchor), `no heading for ${alert.name} in docs/OPERATIONS.md`);
  }
});

Deno.test("the name of a job cannot break the rules", () => {
  const rules = prometheusRules('a"b\\c', "http://x/#");
  assert.ok(rules.includes('expr: "up{job=\\"a\\\\\\"b\\\\\\\\c\\"} == 0"'), rules.slice(0, 300));
});

Deno.test("every query of the dashboard uses metrics of the public page", () => {
  for (const { panels } of DASHBOARD) {
    for (const { queries } of panels) for (const { expr } of queries) assertPublic(expr);
  }
});

Deno.test("panels of the dashboard lie side by side, and none on another", () => {
  const { panels } = grafanaDashboard() as {
    panels: { id: number; gridPos: { x: number; y: number; w: number; h: number } }[];
  };
  assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
  for (const { gridPos: { x, w } } of panels) assert.ok(x + w <= 24);
  for (const [at, { gridPos: a }] of panels.entries()) {
    for (const { gridPos: b } of panels.slice(at + 1)) {
      const apart = a.x + a.w <= b.x || b.x + b.w <= a.x || a.y + a.h <= b.y || b.y + b.h <= a.y;
      assert.ok(apart, JSON.stringify([a, b]));
    }
  }
});
