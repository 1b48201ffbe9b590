/**
 * Regular expressions that clients bring, in RE2's language.
 *
 * @module
 */

/** They fit whole names. */
export interface RegexEngine {
  /** Why a text is no regular expression, for people; null when it is one. */
  problem(regex: string): string | null;
  /** Those of `names` that it fits; none for one that has a problem. */
  matching(regex: string, names: Iterable<string>): string[];
}
