/**
 * The records of the metadata log (Raft group 0): everything the cluster agrees on is a sequence of
 * these, and {@linkcode ClusterImage} is what they add up to.
 *
 * A *command* (create these topics, change that configuration) appends its records as one value, so
 * that they commit, and are replayed, together or not at all:
 *
 * ```
 * command := format:uint8 (1)  count:uvarint  record*count
 * record  := size:uvarint  type:uvarint  version:uvarint  body      size counts type, version, body
 * body    := as in src/wire/schemas/<type>.json, flexible encoding
 * ```
 *
 * Fields added to a record are tagged, and older nodes skip them. A record type, record version or
 * format that this program does not know was written by a newer one and means something: it is
 * refused ({@linkcode decodeCommand} says which), never skipped, and the node stops with 73.
 *
 * @module
 */
