/**
 * The version that `gregor --version`, the log and the metrics name.
 *
 * @module
 */

export const VERSION = "0.1.0";
