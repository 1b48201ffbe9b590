/**
 * Every limit of a shard, by name. An empty budget makes requests wait; nothing grows without a limit.
 *
 * @module
 */

/** Size of one buffer of the shared receive group (bytes). */
export const RECEIVE_BUFFER_SIZE = 64 * 1024;

/** Share of a shard's memory that the receive group takes, and its bounds (bytes). */
export const RECEIVE_BUFFERS_SHARE = 1 / 16;
export const RECEIVE_BUFFERS_SIZE_MIN = 16 * RECEIVE_BUFFER_SIZE;
export const RECEIVE_BUFFERS_SIZE_MAX = 256 * RECEIVE_BUFFER_SIZE;

/** Bytes that the kernel gathers of a frame before it wakes the shard, and how long it may take (ms). */
export const RECEIVE_STEP_BYTES_MAX = 128 * 1024;
export const RECEIVE_STEP_MS_MAX = 4_000;

/** Share of a shard's memory for frames that do not fit into a receive buffer. */
export const LARGE_FRAMES_SHARE = 1 / 4;

/** Frames up to this size have a lane of their own, of half that size (bytes). */
export const SMALL_FRAME_SIZE = 128 * 1024;

/** Share of a shard's memory for responses being written and sent. */
export const RESPONSES_SHARE = 1 / 8;

/** Requests of one connection that may be open before it is not read any more. */
export const REQUESTS_PER_CONNECTION_MAX = 256;

/** Connections of one shard; a further one is closed at once. */
export const CONNECTIONS_PER_SHARD_MAX = 16_384;

/** Share of a shard's memory for the beginnings of frames. */
export const BEGUN_FRAMES_SHARE = 1 / 32;

/** Share of a shard's memory for received bytes whose first request waits its turn. */
export const WAITING_WINDOWS_SHARE = 1 / 16;

/** So much of a frame has come before it gets a block of its size (bytes). */
export const FRAME_START_SIZE = 4096;

/** A frame that has begun and whose peer sends nothing for this long costs the connection (ms). */
export const FRAME_DEADLINE_MS = 60_000;

/** A client that sends a frame more slowly than this for {@linkcode FRAME_DEADLINE_MS} stalls, too (bytes per ms). */
export const FRAME_RATE_MIN = 1;

/** A response whose peer takes nothing for this long costs the connection (ms). */
export const SEND_DEADLINE_MS = 60_000;

/** Where memory is short, a connection that holds some and has not moved for this long loses it (ms). */
export const RECLAIM_STALLED_MS = 1_000;

/** The same for a connection whose next request waits for one that is not answered yet (ms). */
export const RECLAIM_IN_TURN_MS = 30_000;

/** Where memory is short, who moves fewer bytes than this stalls (bytes per ms). */
export const RECLAIM_RATE_MIN = 64;

/** How often that is looked at (ms), and how many connections it may end each time. */
export const RECLAIM_CHECK_MS = 250;
export const RECLAIM_AT_ONCE = 16;

/** The longest that a fetch waits for data, whatever it asks for (ms). */
export const FETCH_WAIT_MAX_MS = 300_000;

/**
 * Producers that a shard remembers, counted in each partition that they write to: about 50 MB. When there are more,
 * those that were silent for the longest are forgotten.
 */
export const PRODUCERS_PER_SHARD_MAX = 200_000;

/** A turn of the reactor that takes longer is reported (ms). */
export const STALL_LIMIT_MS = 25;

/** Fetches of one shard that wait for data; a further one is answered at once with what there is. */
export const WAITING_FETCHES_MAX = 65_536;

/** Partitions in one fetch or produce request that are served; more is an invalid request. */
export const PARTITIONS_PER_REQUEST_MAX = 100_000;

/** Share of a shard's memory that the objects of open requests may take beside it, each lane; and its bounds. */
export const REQUEST_HEAP_SHARE = 1 / 8;
export const REQUEST_HEAP_SIZE_MIN = 16 * 1024 * 1024;
export const REQUEST_HEAP_SIZE_MAX = 512 * 1024 * 1024;

/** Largest response of a request that is decoded to objects (bytes); a request for more closes its connection. */
export const RESPONSE_SIZE_MAX = 128 * 1024 * 1024;

/** Partitions that all fetch sessions of a shard hold together; a session that would hold more is not made. */
export const FETCH_SESSION_PARTITIONS_MAX = 200_000;

/** Array elements of one request that is decoded to objects; more is malformed. */
export const REQUEST_ELEMENTS_MAX = 100_000;

/** Largest payload of a frame between nodes: of votes, heartbeats and replies, and of all others, where memory allows (bytes). */
export const RPC_CONTROL_FRAME_MAX = 16 * 1024;
export const RPC_DATA_FRAME_MAX = 1024 * 1024 * 1024;

/** What an outgoing link occupies for messages that wait, beside the records that it sends in place (bytes). */
export const RPC_LINK_BLOCK_SIZE = 64 * 1024;

/** Records that wait on one link to another node: what a slow one may keep from being given up (bytes, and a share of memory). */
export const RPC_QUEUE_BYTES_MAX = 8 * 1024 * 1024;
export const RPC_QUEUE_SHARE = 1 / 32;

/** Frames that wait on one link to another node. */
export const RPC_QUEUE_FRAMES_MAX = 1024;

/** Frames that go to a socket at once, unless one alone is larger (bytes). */
export const RPC_SEND_BYTES_MAX = 1024 * 1024;

/** What a link from another node receives into (bytes). A larger frame gets a block of its size when so much has come. */
export const RPC_CONTROL_RECEIVE_SIZE = 32 * 1024;
export const RPC_DATA_RECEIVE_SIZE = 128 * 1024;

/** Share of a shard's memory for links in both directions, and for frames that are larger than a link's block. */
export const RPC_LINKS_SHARE = 1 / 8;
export const RPC_FRAMES_SHARE = 1 / 8;

/** Connections of one shard with other nodes, both directions; the process's descriptors may allow fewer. */
export const RPC_CONNECTIONS_MAX = 1024;

/** Blocks of ended control links that are kept for the next ones. */
export const RPC_SPARE_BLOCKS_MAX = 16;

/** Connections whose preamble has not come; a further one ends the oldest. */
export const RPC_GREETINGS_MAX = 64;

/** A connection to another node, its preamble or its answer that takes longer than this fails (ms). */
export const RPC_GREETING_MS = 3_000;

/** A link whose peer takes nothing, or sends nothing of a frame that it began, for this long is closed (ms). */
export const RPC_STALL_MS = 10_000;

/** A node that sends a frame more slowly than this for {@linkcode RPC_STALL_MS} stalls, too (bytes per ms). */
export const RPC_RATE_MIN = 64;

/** How often that is looked at (ms). */
export const RPC_CHECK_MS = 1_000;

/** Bounds of the time between two attempts to reach a node (ms). */
export const RPC_RETRY_MS_MIN = 20;
export const RPC_RETRY_MS_MAX = 1_000;

/** A link that was up for this long is made again at once when it breaks (ms). */
export const RPC_STEADY_MS = 1_000;

/** Appends to one other node that a shard reads from its logs or has in flight at once. */
export const REPLICATION_FRAMES_MAX = 128;

/** Between two signs of life to a shard of another node; a shard that was not heard for so long is taken for dead (ms). */
export const LIFE_INTERVAL_MS = 100;
export const LIFE_SILENT_MS = 800;

/** A timer that comes by so much too late was slept through (ms). */
export const SLEPT_MS = 150;

/** A node that is connected, and whose first shard was not heard for this long, is shown to clients as gone (ms; Kafka: 9 s). */
export const NODE_SILENT_MS = 5_000;

/** A write of the journal that takes longer than this makes the shard's replicas stop leading and voting (ms). */
export const DISK_OVERDUE_MS = 1_500;

/** When a node dies, so many of a shard's groups begin an election in a ms: thousands at once would hold each other up. */
export const ELECTIONS_PER_MS = 20;

/** Bounds of the time after which a follower asks for entries again that its log has refused (ms). */
export const APPEND_RETRY_MS_MIN = 5;
export const APPEND_RETRY_MS_MAX = 500;

/** Snapshots of groups that a shard makes for other nodes or sends at once. */
export const SNAPSHOTS_SENT_MAX = 16;

/** State of producers in one of them (bytes): some 6,000 to 15,000 producers. */
export const SNAPSHOT_PRODUCERS_BYTES_MAX = 1024 * 1024;

/** Requests to other nodes that wait for answers, and requests of other nodes that are being served, on one shard. */
export const NODE_CALLS_MAX = 256;
export const NODE_CALLS_SERVED_MAX = 1_024;

/** Addresses to which the controller's shard sends hellos; further ones replace the oldest. */
export const HELLO_ADDRESSES_MAX = 64;

/** Requests of other nodes for records in the place of damaged ones that a shard serves at once. */
export const REFILLS_SERVED_MAX = 8;

/** A node that does not answer such a request within this time is passed over (ms). */
export const REFILL_WAIT_MS = 2_000;

/** Damaged extents of a shard that wait to be mended; further ones are met again. */
export const MENDINGS_MAX = 1_000;

/** What a shard reads of replicated logs to find damage (bytes per ms): in the long run, and of logs that have some. */
export const INSPECTION_BYTES_PER_MS = 1024;
export const HURRIED_INSPECTION_BYTES_PER_MS = 32 * 1024;

/** The first round of that begins so long after the start, the next one so long after the last one (ms). */
export const INSPECTION_BEGINS_MS = 2_000;
export const INSPECTION_PAUSE_MS = 3_600_000;

/** What one shard sends to members that are filled, in the long run (bytes per ms), and at once (bytes). */
export const RECOVERY_BYTES_PER_MS = 50 * 1024;
export const RECOVERY_BURST_BYTES = 8 * 1024 * 1024;

/** One frame of it (bytes), unless a batch is larger: what others write at the same time waits for one at most. */
export const RECOVERY_FRAME_BYTES = 256 * 1024;

/** The same for each node as a share of what the shard appends, where that is more; and over which time it is measured (ms). */
export const RECOVERY_SHARE = 1.25;
export const RECOVERY_MEASURE_MS = 100;

/** Leaders that other nodes announce are believed up to so many groups beyond those that are known here. */
export const LEADER_GROUPS_AHEAD_MAX = 1_000_000;
