/**
 * Whether the voters of a group that are there could elect a leader: as long as they could, nobody is given up.
 *
 * @module
 */

/** A voter of a group. While the voters change there are two sets, and each needs a majority. */
export interface CountedVoter {
  readonly isVoter: boolean;
  /** Of the set before. */
  readonly wasVoter: boolean;
  /** It can be reached, in the life in which it votes, and its log takes part. */
  readonly isThere: boolean;
}

export function hasMajority(voters: readonly CountedVoter[]): boolean {
  return [
    voters.filter(({ isVoter }) => isVoter),
    voters.filter(({ wasVoter }) => wasVoter),
  ].every((set) =>
    set.length === 0 || set.filter(({ isThere }) => isThere).length > set.length / 2
  );
}
