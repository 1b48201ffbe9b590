/**
 * Counts of tests, read from what the test runners print last.
 *
 * @module
 */

export interface TestCounts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

export const NO_TESTS: TestCounts = { passed: 0, failed: 0, skipped: 0 };

/** `ok | 12 passed (3 steps) | 0 failed | 1 ignored (2s)`; steps are parts of tests, not counted. */
const DENO_SUMMARY = /^(?:ok|FAILED) \| (\d+) passed.*? \| (\d+) failed(.*)$/gm;
/** `test result: ok. 12 passed; 0 failed; 1 ignored; …`, once per test program. */
const CARGO_SUMMARY = /^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored/gm;

/** Sums every summary in the output; a run that failed without counting a failure counts as one. */
export function countTests(output: string, exitCode: number): TestCounts {
  let sum = NO_TESTS;
  for (const [, passed, failed, rest] of output.matchAll(DENO_SUMMARY)) {
    const ignored = /(\d+) ignored/.exec(rest!)?.[1] ?? 0;
    sum = add(sum, { passed: Number(passed), failed: Number(failed), skipped: Number(ignored) });
  }
  for (const [, passed, failed, ignored] of output.matchAll(CARGO_SUMMARY)) {
    sum = add(sum, { passed: Number(passed), failed: Number(failed), skipped: Number(ignored) });
  }
  if (exitCode !== 0 && sum.failed === 0) sum = { ...sum, failed: 1 };
  return sum;
}

export function add(a: TestCounts, b: TestCounts): TestCounts {
  return {
    passed: a.passed + b.passed,
    failed: a.failed + b.failed,
    skipped: a.skipped + b.skipped,
  };
}
