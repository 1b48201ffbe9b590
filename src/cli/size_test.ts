import { strict as assert } from "node:assert";
import { formatCount, formatDuration, formatSize, parseDuration, parseSize } from "./size.ts";

Deno.test("parseSize() reads what people write", () => {
  const cases: [string, number | undefined][] = [
    ["0", 0],
    ["4096", 4096],
    ["4GiB", 4 * 2 ** 30],
    ["4G", 4 * 2 ** 30],
    ["1.5mib", 1.5 * 2 ** 20],
    ["2 KB", 2000],
    ["1TB", 1e12],
    ["", undefined],
    ["-1", undefined],
    ["4 gallons", undefined],
    ["GiB", undefined],
    ["1e9", undefined],
    ["9999999TiB", undefined],
  ];
  for (const [given, expected] of cases) assert.equal(parseSize(given), expected, given);
});

Deno.test("parseDuration() wants a unit", () => {
  const cases: [string, number | undefined][] = [
    ["0", 0],
    ["500ms", 500],
    ["250us", 0.25],
    ["1h30m", 5_400_000],
    ["1h 30m", 5_400_000],
    ["7d", 604_800_000],
    ["1.5s", 1500],
    ["30", undefined],
    ["s", undefined],
    ["-5s", undefined],
    ["5 parsecs", undefined],
  ];
  for (const [given, expected] of cases) assert.equal(parseDuration(given), expected, given);
});

Deno.test("formatSize() and formatDuration() keep what matters", () => {
  assert.deepEqual([0, 999, 1536, 4 * 2 ** 30, 123_456_789].map(formatSize), [
    "0 B",
    "999 B",
    "1.5 KiB",
    "4 GiB",
    "118 MiB",
  ]);
  assert.deepEqual([0, 0.83, 12.5, 1500, 90_000, 5_400_000, 604_800_000].map(formatDuration), [
    "0",
    "830us",
    "12.5ms",
    "1.5s",
    "1m 30s",
    "1h 30m",
    "7d",
  ]);
  assert.deepEqual([0, 999, 1234567, 1234.5].map(formatCount), [
    "0",
    "999",
    "1,234,567",
    "1,234.5",
  ]);
});
