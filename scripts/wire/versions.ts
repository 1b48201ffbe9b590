/**
 * Version ranges of the schemas ("3+", "0-12", "5", "none") and the conditions they become in code.
 *
 * @module
 */

/** Higher than any version. */
export const OPEN = 32767;

/** Inclusive range; empty when `low > high`. */
export interface Versions {
  readonly low: number;
  readonly high: number;
}

export const NO_VERSIONS: Versions = { low: 1, high: 0 };

export function parseVersions(text: string): Versions {
  if (text === "none") return NO_VERSIONS;
  const match = /^(\d+)(\+|-(\d+))?$/.exec(text);
  if (match === null) throw new Error(`not a version range: "${text}"`);
  const low = Number(match[1]);
  if (match[2] === undefined) return { low, high: low };
  return { low, high: match[2] === "+" ? OPEN : Number(match[3]) };
}

export function isEmpty(versions: Versions): boolean {
  return versions.low > versions.high;
}

export function intersect(a: Versions, b: Versions): Versions {
  return { low: Math.max(a.low, b.low), high: Math.min(a.high, b.high) };
}

/** Smallest range that holds both. */
export function hull(a: Versions, b: Versions): Versions {
  if (isEmpty(a)) return b;
  if (isEmpty(b)) return a;
  return { low: Math.min(a.low, b.low), high: Math.max(a.high, b.high) };
}

export function contains(outer: Versions, inner: Versions): boolean {
  return isEmpty(inner) || (outer.low <= inner.low && inner.high <= outer.high);
}

/** Whether some version is in both. */
export function overlaps(a: Versions, b: Versions): boolean {
  return !isEmpty(intersect(a, b));
}

/** TypeScript for "version is in `versions`", given that it is in `within`. */
export function condition(versions: Versions, within: Versions): string {
  if (!overlaps(versions, within)) return "false";
  const parts: string[] = [];
  if (versions.low > within.low) parts.push(`version >= ${versions.low}`);
  if (versions.high < within.high) parts.push(`version <= ${versions.high}`);
  return parts.length === 0 ? "true" : parts.join(" && ");
}
