/**
 * The messages between shards, by type, with the meaning of each argument.
 *
 * ```text
 *   CALL              call  apiKey, version, address, length        request block of the caller
 *   CALL_TAKEN        call                                          read, and answered later: the credit is free
 *   CALL_REPLY        call  address, length (-1: refused)           reply block of the callee
 *   RELEASE_BLOCK           address                                 the caller has read the reply
 *   PRODUCE           call  address, count, acks, version, timeout, table of the caller, see produce_remote.ts
 *                           transactional id's address, length
 *   PRODUCE_TAKEN     call                                          the records are copied
 *   PRODUCE_REPLY     call                                          results stand in the same table
 *   FETCH             call  address, count, maxBytes, isolation     table of the caller, see fetch_remote.ts
 *   FETCH_REPLY       call  pinned                                  results in the table; extents are pinned
 *   FETCH_RELEASE           pinned                                  the caller has sent the extents
 *   WATCH                   up to 3 x (group, high watermark), -1   send NEWS when there is more; see remote_news.ts for
 *                                                                   readers that take a follower
 *   NEWS                    up to 7 x group, -1                     there is more to read
 *   LEADERS                 up to 2 x (group, leader, epoch), -1    who leads these groups, with the replicas in
 *                                                                   sync, see leader_news.ts
 *   NODES                   up to 3 x (node, 1: reachable or 0), -1 which nodes can be reached
 *   CONNECTION              socket                                  a descriptor changes hands
 *   PEER_CONNECTION         socket, node, ...                       a connection of another node, see node_links.ts
 *   CALL_PART         call  address, length                         more of the answer follows
 *   METADATA          call  address, length, term, flags            committed records, to be replayed, or none; the
 *                                                                   controller's term, negated where some
 *                                                                   may be missing; 1: what was committed before
 *                                                                   this start is all there; 2: the reply waits
 *                                                                   for the leaders of new partitions
 *   METADATA_REPLY    call                                          replayed
 * ```
 *
 * A block or table belongs to the shard that allocated it, until the reply; the block of a CALL until
 * CALL_TAKEN, if that comes.
 *
 * @module
 */

export const MessageType = {
  CALL: 1,
  CALL_REPLY: 2,
  RELEASE_BLOCK: 3,
  PRODUCE: 4,
  PRODUCE_REPLY: 5,
  FETCH: 6,
  FETCH_REPLY: 7,
  FETCH_RELEASE: 8,
  WATCH: 9,
  NEWS: 10,
  CONNECTION: 12,
  METADATA: 14,
  METADATA_REPLY: 15,
  PRODUCE_TAKEN: 16,
  LEADERS: 17,
  CALL_TAKEN: 18,
  PEER_CONNECTION: 19,
  CALL_PART: 20,
  NODES: 21,
} as const;
export type MessageType = typeof MessageType[keyof typeof MessageType];
