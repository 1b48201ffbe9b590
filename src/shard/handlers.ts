/**
 * Every API that Gregor serves: what is listed here is advertised, and nothing else.
 *
 * @module
 */

import { ADD_OFFSETS_TO_TXN_HANDLER } from "../kafka/handlers/add_offsets_to_txn.ts";
import { ADD_PARTITIONS_TO_TXN_HANDLER } from "../kafka/handlers/add_partitions_to_txn.ts";
import { ALTER_CONFIGS_HANDLER } from "../kafka/handlers/alter_configs.ts";
import { ALTER_NODE_STATE_HANDLER } from "../kafka/handlers/alter_node_state.ts";
import { ALTER_PARTITION_REASSIGNMENTS_HANDLER } from "../kafka/handlers/alter_partition_reassignments.ts";
import { ALTER_REPLICA_LOG_DIRS_HANDLER } from "../kafka/handlers/alter_replica_log_dirs.ts";
import { CONSUMER_GROUP_DESCRIBE_HANDLER } from "../kafka/handlers/consumer_group_describe.ts";
import { CONSUMER_GROUP_HEARTBEAT_HANDLER } from "../kafka/handlers/consumer_group_heartbeat.ts";
import { CREATE_PARTITIONS_HANDLER } from "../kafka/handlers/create_partitions.ts";
import { CREATE_TOPICS_HANDLER } from "../kafka/handlers/create_topics.ts";
import { DELETE_GROUPS_HANDLER } from "../kafka/handlers/delete_groups.ts";
import { DELETE_RECORDS_HANDLER } from "../kafka/handlers/delete_records.ts";
import { DELETE_TOPICS_HANDLER } from "../kafka/handlers/delete_topics.ts";
import { DESCRIBE_CLUSTER_HANDLER } from "../kafka/handlers/describe_cluster.ts";
import { DESCRIBE_CONFIGS_HANDLER } from "../kafka/handlers/describe_configs.ts";
import { DESCRIBE_GROUPS_HANDLER } from "../kafka/handlers/describe_groups.ts";
import { DESCRIBE_LOG_DIRS_HANDLER } from "../kafka/handlers/describe_log_dirs.ts";
import { DESCRIBE_NODES_HANDLER } from "../kafka/handlers/describe_nodes.ts";
import { DESCRIBE_PRODUCERS_HANDLER } from "../kafka/handlers/describe_producers.ts";
import { DESCRIBE_QUORUM_HANDLER } from "../kafka/handlers/describe_quorum.ts";
import { DESCRIBE_REPLICAS_HANDLER } from "../kafka/handlers/describe_replicas.ts";
import { DESCRIBE_TRANSACTIONS_HANDLER } from "../kafka/handlers/describe_transactions.ts";
import { DESCRIBE_TOPIC_PARTITIONS_HANDLER } from "../kafka/handlers/describe_topic_partitions.ts";
import { ELECT_LEADERS_HANDLER } from "../kafka/handlers/elect_leaders.ts";
import { END_TXN_HANDLER } from "../kafka/handlers/end_txn.ts";
import { FIND_COORDINATOR_HANDLER } from "../kafka/handlers/find_coordinator.ts";
import { HEARTBEAT_HANDLER } from "../kafka/handlers/heartbeat.ts";
import { INCREMENTAL_ALTER_CONFIGS_HANDLER } from "../kafka/handlers/incremental_alter_configs.ts";
import { INIT_PRODUCER_ID_HANDLER } from "../kafka/handlers/init_producer_id.ts";
import { JOIN_GROUP_HANDLER } from "../kafka/handlers/join_group.ts";
import { LEAVE_GROUP_HANDLER } from "../kafka/handlers/leave_group.ts";
import { LIST_CONFIG_RESOURCES_HANDLER } from "../kafka/handlers/list_config_resources.ts";
import { LIST_GROUPS_HANDLER } from "../kafka/handlers/list_groups.ts";
import { LIST_OFFSETS_HANDLER } from "../kafka/handlers/list_offsets.ts";
import { LIST_PARTITION_REASSIGNMENTS_HANDLER } from "../kafka/handlers/list_partition_reassignments.ts";
import { LIST_TRANSACTIONS_HANDLER } from "../kafka/handlers/list_transactions.ts";
import { METADATA_HANDLER } from "../kafka/handlers/metadata.ts";
import { OFFSET_COMMIT_HANDLER } from "../kafka/handlers/offset_commit.ts";
import { OFFSET_DELETE_HANDLER } from "../kafka/handlers/offset_delete.ts";
import { OFFSET_FETCH_HANDLER } from "../kafka/handlers/offset_fetch.ts";
import { OFFSET_FOR_LEADER_EPOCH_HANDLER } from "../kafka/handlers/offset_for_leader_epoch.ts";
import { RECOVER_METADATA_HANDLER } from "../kafka/handlers/recover_metadata.ts";
import { RECOVER_PARTITION_HANDLER } from "../kafka/handlers/recover_partition.ts";
import { SYNC_GROUP_HANDLER } from "../kafka/handlers/sync_group.ts";
import { TRANSFER_LEADERSHIP_HANDLER } from "../kafka/handlers/transfer_leadership.ts";
import { TXN_OFFSET_COMMIT_HANDLER } from "../kafka/handlers/txn_offset_commit.ts";
import { UNREGISTER_BROKER_HANDLER } from "../kafka/handlers/unregister_broker.ts";
import { UPDATE_FEATURES_HANDLER } from "../kafka/handlers/update_features.ts";
import { WRITE_TXN_MARKERS_HANDLER } from "../kafka/handlers/write_txn_markers.ts";
import { apiVersionsHandler } from "../kafka/handlers/api_versions.ts";
import type { AnyHandler } from "../kafka/router.ts";
import { FETCH_VERSION_MAX, FETCH_VERSION_MIN } from "../wire/fetch_reader.ts";
import { FETCH, PRODUCE } from "../wire/generated/apis.ts";
import { PRODUCE_VERSION_MAX } from "../wire/produce_reader.ts";

/**
 * Produce is advertised from version 0 on although versions 0 to 2 are refused: older librdkafka would
 * switch compression off otherwise (KAFKA-18659).
 */
const PRODUCE_VERSION_ADVERTISED_MIN = 0;

/** What is read in place and has no handler. */
const IN_PLACE = [
  {
    apiKey: PRODUCE.key,
    minVersion: PRODUCE_VERSION_ADVERTISED_MIN,
    maxVersion: PRODUCE_VERSION_MAX,
  },
  { apiKey: FETCH.key, minVersion: FETCH_VERSION_MIN, maxVersion: FETCH_VERSION_MAX },
];

/** @param all the registry made of the result, for ApiVersions to report */
export function kafkaHandlers(all: () => Iterable<AnyHandler>): AnyHandler[] {
  const advertised = () => [
    ...IN_PLACE,
    ...[...all()].map(({ api, minVersion, maxVersion }) => ({
      apiKey: api.key,
      minVersion,
      maxVersion,
    })),
  ];
  return [
    apiVersionsHandler(advertised),
    ADD_OFFSETS_TO_TXN_HANDLER,
    ADD_PARTITIONS_TO_TXN_HANDLER,
    ALTER_CONFIGS_HANDLER,
    ALTER_NODE_STATE_HANDLER,
    ALTER_PARTITION_REASSIGNMENTS_HANDLER,
    ALTER_REPLICA_LOG_DIRS_HANDLER,
    CONSUMER_GROUP_DESCRIBE_HANDLER,
    CONSUMER_GROUP_HEARTBEAT_HANDLER,
    CREATE_PARTITIONS_HANDLER,
    CREATE_TOPICS_HANDLER,
    DELETE_GROUPS_HANDLER,
    DELETE_RECORDS_HANDLER,
    DELETE_TOPICS_HANDLER,
    DESCRIBE_CLUSTER_HANDLER,
    DESCRIBE_CONFIGS_HANDLER,
    DESCRIBE_GROUPS_HANDLER,
    DESCRIBE_LOG_DIRS_HANDLER,
    DESCRIBE_NODES_HANDLER,
    DESCRIBE_PRODUCERS_HANDLER,
    DESCRIBE_QUORUM_HANDLER,
    DESCRIBE_REPLICAS_HANDLER,
    DESCRIBE_TOPIC_PARTITIONS_HANDLER,
    DESCRIBE_TRANSACTIONS_HANDLER,
    ELECT_LEADERS_HANDLER,
    END_TXN_HANDLER,
    FIND_COORDINATOR_HANDLER,
    HEARTBEAT_HANDLER,
    INCREMENTAL_ALTER_CONFIGS_HANDLER,
    INIT_PRODUCER_ID_HANDLER,
    JOIN_GROUP_HANDLER,
    LEAVE_GROUP_HANDLER,
    LIST_CONFIG_RESOURCES_HANDLER,
    LIST_GROUPS_HANDLER,
    LIST_OFFSETS_HANDLER,
    LIST_PARTITION_REASSIGNMENTS_HANDLER,
    LIST_TRANSACTIONS_HANDLER,
    METADATA_HANDLER,
    OFFSET_COMMIT_HANDLER,
    OFFSET_DELETE_HANDLER,
    OFFSET_FETCH_HANDLER,
    OFFSET_FOR_LEADER_EPOCH_HANDLER,
    RECOVER_METADATA_HANDLER,
    RECOVER_PARTITION_HANDLER,
    SYNC_GROUP_HANDLER,
    TRANSFER_LEADERSHIP_HANDLER,
    TXN_OFFSET_COMMIT_HANDLER,
    UNREGISTER_BROKER_HANDLER,
    UPDATE_FEATURES_HANDLER,
    WRITE_TXN_MARKERS_HANDLER,
  ];
}
