/**
 * Settings that every Kafka broker has and that have no effect in Gregor. Tools and automation read and set them
 * as a matter of course, so they are accepted, kept and shown with Kafka's type and default, and each says why
 * it has no effect.
 *
 * Settings of what Gregor does not have are not here (security, tiered storage, other kinds of groups, plug-ins;
 * `docs/DIFFERENCES.md` has all of them): an operator who sets those must get an error.
 *
 * @module
 */

import {
  booleanSetting,
  doubleSetting,
  intSetting,
  listSetting,
  longSetting,
  stringSetting,
} from "./setting.ts";

const MIB = 2 ** 20;
const INT_MAX = 2 ** 31 - 1;
const LONG_MAX_TEXT = "9223372036854775807";

/** No effect, and Kafka lets it be changed while the broker runs. */
const ignored = { ignored: true } as const;
/** No effect, and Kafka reads it at the start alone. */
const fixed = { ignored: true, fixed: true } as const;

const NO_POOLS = "Gregor runs one thread per core (--cores) and has no thread pools.";
const OWN_COMPACTION = "Each core compacts its own logs, one at a time.";
const NO_FLUSH_TIMER = "Gregor flushes before every acknowledgement.";
const NO_PURGATORY = "Waiting requests end at their deadline; there is nothing to purge.";
const NO_QUOTAS = "There are no quotas yet.";
const OWN_REPLICATION = "Leaders send to their followers, as fast as memory and disks allow.";
const OWN_PACE = "A node paces by itself what it sends to new replicas.";
const ALWAYS_VERIFIED = "The first batch of a transaction in a partition is always verified.";
const NO_JMX = "There is no JMX here.";
const NO_RECOMPRESSION = "Gregor stores what the producer sent.";
const OWN_MEMORY = "--memory sets the memory, and Gregor divides it.";
const OWN_BUFFERS = "The kernel sizes the buffers of each connection itself.";
const OWN_CONNECTIONS = "--memory limits the number of connections, those of one address together.";
const NO_CONNECTS = "The broker connects to no Kafka.";
const OWN_CONTROLLER =
  "The metadata log is a partition like any other, and the controller a part of every node.";

/** By name, as in Kafka 4.4. */
export const KAFKA_ONLY_SETTINGS = {
  "alter.log.dirs.replication.quota.window.num": intSetting(11, NO_QUOTAS, { ...fixed, min: 1 }),
  "alter.log.dirs.replication.quota.window.size.seconds": intSetting(1, NO_QUOTAS, {
    ...fixed,
    min: 1,
  }),
  "background.threads": intSetting(10, NO_POOLS, { ...ignored, min: 1 }),
  "broker.heartbeat.interval.ms": intSetting(2000, OWN_CONTROLLER, fixed),
  "broker.session.timeout.ms": intSetting(9000, OWN_CONTROLLER, fixed),
  "compression.gzip.level": intSetting(-1, NO_RECOMPRESSION, {
    ...ignored,
    min: 1,
    max: 9,
    alsoFallback: true,
  }),
  "compression.lz4.level": intSetting(9, NO_RECOMPRESSION, { ...ignored, min: 1, max: 17 }),
  "compression.zstd.level": intSetting(3, NO_RECOMPRESSION, { ...ignored, min: -131_072, max: 22 }),
  "controlled.shutdown.enable": booleanSetting(
    true,
    "A stop always answers open requests and writes everything out first.",
    fixed,
  ),
  "controller.quota.window.num": intSetting(11, NO_QUOTAS, { ...fixed, min: 1 }),
  "controller.quota.window.size.seconds": intSetting(1, NO_QUOTAS, { ...fixed, min: 1 }),
  "controller.socket.timeout.ms": intSetting(30_000, OWN_CONTROLLER, fixed),
  "delete.records.purgatory.purge.interval.requests": intSetting(1, NO_PURGATORY, fixed),
  "fetch.purgatory.purge.interval.requests": intSetting(1000, NO_PURGATORY, fixed),
  "follower.replication.throttled.rate": longSetting(LONG_MAX_TEXT, OWN_PACE, {
    ...ignored,
    min: 0,
  }),
  "group.coordinator.append.linger.ms": intSetting(
    -1,
    "Records of one turn are written together, without waiting for more.",
    { ...fixed, min: -1 },
  ),
  "group.coordinator.background.threads": intSetting(2, NO_POOLS, { ...fixed, min: 1 }),
  "group.coordinator.threads": intSetting(4, NO_POOLS, { ...fixed, min: 1 }),
  "initial.broker.registration.timeout.ms": intSetting(60_000, OWN_CONTROLLER, fixed),
  "kafka.metrics.polling.interval.secs": intSetting(10, NO_JMX, { ...fixed, min: 1 }),
  "kafka.metrics.reporters": listSetting("", NO_JMX, fixed),
  "leader.replication.throttled.rate": longSetting(LONG_MAX_TEXT, OWN_PACE, { ...ignored, min: 0 }),
  "log.cleaner.io.buffer.load.factor": doubleSetting(0.9, OWN_COMPACTION, ignored),
  "log.cleaner.io.buffer.size": intSetting(MIB / 2, OWN_COMPACTION, { ...ignored, min: 0 }),
  "log.cleaner.threads": intSetting(1, OWN_COMPACTION, { ...ignored, min: 0 }),
  "log.dir.failure.timeout.ms": longSetting(
    30_000,
    "There is one data directory; a disk error ends the broker at once.",
    { ...fixed, min: 1 },
  ),
  "log.flush.offset.checkpoint.interval.ms": intSetting(60_000, NO_FLUSH_TIMER, {
    ...fixed,
    min: 0,
  }),
  "log.flush.scheduler.interval.ms": longSetting(LONG_MAX_TEXT, NO_FLUSH_TIMER, fixed),
  "log.flush.start.offset.checkpoint.interval.ms": intSetting(60_000, NO_FLUSH_TIMER, {
    ...fixed,
    min: 0,
  }),
  "log.roll.jitter.hours": intSetting(0, "Segments roll without jitter.", { ...fixed, min: 0 }),
  "log.roll.jitter.ms": longSetting(null, "Segments roll without jitter.", { ...ignored, min: 0 }),
  "max.connection.creation.rate": intSetting(
    INT_MAX,
    "The number of connections is limited, not their rate.",
    { ...ignored, min: 0 },
  ),
  "max.connections": intSetting(INT_MAX, OWN_CONNECTIONS, { ...ignored, min: 0 }),
  "max.connections.per.ip": intSetting(INT_MAX, OWN_CONNECTIONS, { ...ignored, min: 0 }),
  "max.connections.per.ip.overrides": stringSetting("", OWN_CONNECTIONS, ignored),
  "metadata.log.max.record.bytes.between.snapshots": longSetting(20 * MIB, OWN_CONTROLLER, {
    ...fixed,
    min: 1,
  }),
  "metadata.log.max.snapshot.interval.ms": longSetting(3_600_000, OWN_CONTROLLER, {
    ...fixed,
    min: 0,
  }),
  "metadata.log.segment.bytes": intSetting(1024 * MIB, OWN_CONTROLLER, { ...fixed, min: 8 * MIB }),
  "metadata.log.segment.ms": longSetting(604_800_000, OWN_CONTROLLER, fixed),
  "metadata.max.idle.interval.ms": intSetting(500, OWN_CONTROLLER, { ...fixed, min: 0 }),
  "metadata.max.retention.bytes": longSetting(100 * MIB, OWN_CONTROLLER, fixed),
  "metadata.max.retention.ms": longSetting(604_800_000, OWN_CONTROLLER, fixed),
  "metric.reporters": listSetting(
    "org.apache.kafka.common.metrics.JmxReporter",
    NO_JMX,
    ignored,
  ),
  "metrics.num.samples": intSetting(2, NO_JMX, { ...fixed, min: 1 }),
  "metrics.recording.level": stringSetting("INFO", NO_JMX, fixed),
  "metrics.sample.window.ms": longSetting(30_000, NO_JMX, { ...fixed, min: 1 }),
  "num.io.threads": intSetting(8, NO_POOLS, { ...ignored, min: 1 }),
  "num.network.threads": intSetting(3, NO_POOLS, { ...ignored, min: 1 }),
  "num.recovery.threads.per.data.dir": intSetting(2, NO_POOLS, { ...ignored, min: 1 }),
  "num.replica.alter.log.dirs.threads": intSetting(null, NO_POOLS, fixed),
  "num.replica.fetchers": intSetting(1, NO_POOLS, { ...ignored, min: 1 }),
  "offsets.commit.timeout.ms": intSetting(
    5000,
    "A commit is answered when it is flushed, or refused.",
    { ...fixed, min: 1 },
  ),
  "offsets.load.buffer.size": intSetting(5 * MIB, OWN_MEMORY, { ...fixed, min: 1 }),
  "offsets.topic.compression.codec": intSetting(
    0,
    "Records of groups are stored as they are.",
    fixed,
  ),
  "producer.purgatory.purge.interval.requests": intSetting(1000, NO_PURGATORY, fixed),
  "queued.max.request.bytes": longSetting(-1, OWN_MEMORY, fixed),
  "queued.max.requests": intSetting(500, OWN_MEMORY, { ...fixed, min: 1 }),
  "quota.window.num": intSetting(11, NO_QUOTAS, { ...fixed, min: 1 }),
  "quota.window.size.seconds": intSetting(1, NO_QUOTAS, { ...fixed, min: 1 }),
  "replica.alter.log.dirs.io.max.bytes.per.second": longSetting(LONG_MAX_TEXT, OWN_PACE, {
    ...ignored,
    min: 0,
  }),
  "replica.fetch.backoff.ms": intSetting(1000, OWN_REPLICATION, { ...fixed, min: 0 }),
  "replica.fetch.max.bytes": intSetting(MIB, OWN_REPLICATION, { ...fixed, min: 0 }),
  "replica.fetch.min.bytes": intSetting(1, OWN_REPLICATION, fixed),
  "replica.fetch.response.max.bytes": intSetting(10 * MIB, OWN_REPLICATION, { ...fixed, min: 0 }),
  "replica.fetch.wait.max.ms": intSetting(500, OWN_REPLICATION, fixed),
  "replica.high.watermark.checkpoint.interval.ms": longSetting(5000, OWN_REPLICATION, fixed),
  "replica.socket.receive.buffer.bytes": intSetting(65_536, OWN_REPLICATION, fixed),
  "replica.socket.timeout.ms": intSetting(30_000, OWN_REPLICATION, fixed),
  "replication.quota.window.num": intSetting(11, NO_QUOTAS, { ...fixed, min: 1 }),
  "replication.quota.window.size.seconds": intSetting(1, NO_QUOTAS, { ...fixed, min: 1 }),
  "request.timeout.ms": intSetting(30_000, "The broker sends no requests.", fixed),
  "socket.connection.setup.timeout.max.ms": longSetting(30_000, NO_CONNECTS, fixed),
  "socket.connection.setup.timeout.ms": longSetting(10_000, NO_CONNECTS, fixed),
  "socket.listen.backlog.size": intSetting(50, "The kernel's limit (somaxconn) applies.", {
    ...fixed,
    min: 1,
  }),
  "socket.receive.buffer.bytes": intSetting(102_400, OWN_BUFFERS, fixed),
  "socket.send.buffer.bytes": intSetting(102_400, OWN_BUFFERS, fixed),
  "telemetry.max.bytes": intSetting(MIB, "Clients' metrics are not collected.", {
    ...fixed,
    min: 1,
  }),
  "transaction.partition.verification.enable": booleanSetting(true, ALWAYS_VERIFIED, ignored),
  "transaction.state.log.load.buffer.size": intSetting(5 * MIB, OWN_MEMORY, {
    ...fixed,
    min: 1,
  }),
} as const;
