/**
 * Which Apache Kafka Gregor is compared with.
 *
 * @module
 */

/** The newest released one. */
export const KAFKA = "4.4.0";
