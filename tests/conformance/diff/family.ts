/**
 * Families: requests that belong together.
 *
 * @module
 */

import type { Step } from "./case.ts";

/** Requests that may follow each other, once `opening` was asked. */
export interface Family {
  readonly name: string;
  readonly opening: readonly Step[];
  /** Each may come any number of times, in any order; some are several requests. */
  readonly requests: readonly (Step | readonly Step[])[];
}
