/**
 * Sizes and durations as people write them: `4GiB`, `1.5MB`, `500ms`, `1h30m`, `7d`.
 *
 * A bare letter counts in powers of two (`4G` is 4 GiB), as every neighbouring broker reads it; `KB`,
 * `MB`, ... are the decimal units. A duration always names its unit, so that nobody has to guess
 * whether 30 was seconds or milliseconds; only 0 goes without.
 *
 * @module
 */

const SIZE_UNITS: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  k: 2 ** 10,
  kib: 2 ** 10,
  kb: 1e3,
  m: 2 ** 20,
  mib: 2 ** 20,
  mb: 1e6,
  g: 2 ** 30,
  gib: 2 ** 30,
  gb: 1e9,
  t: 2 ** 40,
  tib: 2 ** 40,
  tb: 1e12,
};

const DURATION_UNITS_MS: Readonly<Record<string, number>> = {
  us: 1e-3,
  ms: 1,
  s: 1e3,
  m: 60e3,
  h: 3600e3,
  d: 86400e3,
  w: 7 * 86400e3,
};

/** Reads a size; `undefined` when it is none. The result is a whole number of bytes. */
export function parseSize(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim());
  if (match === null) return undefined;
  const unit = SIZE_UNITS[match[2]!.toLowerCase()];
  if (unit === undefined) return undefined;
  const bytes = Math.round(Number(match[1]) * unit);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** Prints bytes in the largest binary unit that keeps three digits of meaning: `1.5 GiB`, `999 B`. */
export function formatSize(bytes: number): string {
  if (bytes < 0) return `-${formatSize(-bytes)}`;
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${trimNumber(value)} ${units[unit]}`;
}

/** Reads a duration into milliseconds (with a fraction below 1 ms); `undefined` when it is none. */
export function parseDuration(text: string): number | undefined {
  const trimmed = text.trim().toLowerCase();
  if (trimmed === "0") return 0;
  if (!/^(\d+(\.\d+)?\s*(us|ms|s|m|h|d|w)\s*)+$/.test(trimmed)) return undefined;
  let total = 0;
  for (const match of trimmed.matchAll(/(\d+(?:\.\d+)?)\s*(us|ms|s|m|h|d|w)/g)) {
    total += Number(match[1]) * DURATION_UNITS_MS[match[2]!]!;
  }
  return Number.isFinite(total) ? total : undefined;
}

/** Prints milliseconds in the two largest units that matter: `7d`, `1h 30m`, `12.5ms`, `830us`. */
export function formatDuration(ms: number): string {
  if (ms < 0) return `-${formatDuration(-ms)}`;
  if (ms === 0) return "0";
  if (ms < 1) return `${trimNumber(ms * 1e3)}us`;
  if (ms < 1e3) return `${trimNumber(ms)}ms`;
  if (ms < 60e3) return `${trimNumber(ms / 1e3)}s`;
  const units: readonly (readonly [string, number])[] = [
    ["d", 86400e3],
    ["h", 3600e3],
    ["m", 60e3],
    ["s", 1e3],
  ];
  const first = units.findIndex(([, size]) => ms >= size);
  const [name, size] = units[first]!;
  const whole = Math.floor(ms / size);
  const next = units[first + 1];
  const rest = next === undefined ? 0 : Math.floor((ms - whole * size) / next[1]);
  return rest === 0 ? `${whole}${name}` : `${whole}${name} ${rest}${next![0]}`;
}

/** Prints a count with thousands separated: `1,234,567`. */
export function formatCount(count: number): string {
  const [whole, fraction] = String(count).split(".");
  const grouped = whole!.replace(/\B(?=(\d{3})+(?!\d))/g, ",");
  return fraction === undefined ? grouped : `${grouped}.${fraction}`;
}

function trimNumber(value: number): string {
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return value.toFixed(digits).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "");
}
