"""The command `admin` of ../README.md, over a topic that exists and has records."""

import warnings

from confluent_kafka import ConsumerGroupTopicPartitions, ElectionType, KafkaException
from confluent_kafka import TopicCollection, TopicPartition
from confluent_kafka.admin import (
    AclBinding, AclBindingFilter, AclOperation, AclPermissionType, AdminClient, AlterConfigOpType,
    ConfigEntry, ConfigResource, NewPartitions, NewTopic, OffsetSpec, ResourcePatternType,
    ResourceType, ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion,
)

BOUND_SECONDS = 20


class Administration:
    def __init__(self, options):
        self.options = options
        self.admin = AdminClient({"bootstrap.servers": options.brokers})
        self.done = []
        self.declined = []

    def run(self):
        self.cluster()
        self.configs()
        self.partitions()
        self.groups()
        self.security()
        topic = self.options.topic
        self.must("delete_topics", lambda: all_of(self.admin.delete_topics([topic])))
        return {"done": self.done, "declined": self.declined}

    def cluster(self):
        admin, topic = self.admin, self.options.topic
        self.must("describe_cluster", lambda: admin.describe_cluster(
            include_authorized_operations=True).result(BOUND_SECONDS))
        self.must("list_topics", lambda: admin.list_topics(timeout=BOUND_SECONDS))
        self.must("describe_topics", lambda: all_of(
            admin.describe_topics(TopicCollection([topic]), include_authorized_operations=True)))

    def configs(self):
        admin, topic = self.admin, self.options.topic
        broker = str(next(iter(admin.list_topics(timeout=BOUND_SECONDS).brokers)))
        entry = ConfigEntry("retention.ms", "3600000", incremental_operation=AlterConfigOpType.SET)
        self.must("incremental_alter_configs", lambda: all_of(admin.incremental_alter_configs(
            [ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])])))
        warnings.simplefilter("ignore", DeprecationWarning)
        self.must("alter_configs", lambda: all_of(admin.alter_configs(
            [ConfigResource(ConfigResource.Type.TOPIC, topic, set_config={"retention.ms": "60000"})])))
        self.must("describe_configs", lambda: all_of(admin.describe_configs(
            [ConfigResource(ConfigResource.Type.TOPIC, topic)])))
        self.must("describe_configs of a broker", lambda: all_of(admin.describe_configs(
            [ConfigResource(ConfigResource.Type.BROKER, broker)])))

    def partitions(self):
        admin, topic = self.admin, self.options.topic
        first = TopicPartition(topic, 0)
        self.must("create_partitions", lambda: all_of(
            admin.create_partitions([NewPartitions(topic, self.options.partitions + 1)])))
        for spec in (OffsetSpec.earliest(), OffsetSpec.latest(), OffsetSpec.max_timestamp(),
                     OffsetSpec.for_timestamp(self.options.base_ms)):
            self.must("list_offsets", lambda: all_of(admin.list_offsets({first: spec})))
        self.must("delete_records", lambda: all_of(
            admin.delete_records([TopicPartition(topic, 0, 1)])))
        self.may("elect_leaders", lambda: admin.elect_leaders(
            ElectionType.PREFERRED, [first]).result(BOUND_SECONDS))
        self.refused("create_topics, refused", lambda: all_of(
            admin.create_topics([NewTopic(topic, 1, 1)])))

    def groups(self):
        admin, options = self.admin, self.options
        group = f"{options.topic}-admin"
        offsets = ConsumerGroupTopicPartitions(group, [TopicPartition(options.topic, 0, 1, metadata="by hand")])
        self.must("alter_consumer_group_offsets", lambda: all_of(
            admin.alter_consumer_group_offsets([offsets])))
        self.must("list_consumer_group_offsets", lambda: all_of(
            admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])))
        self.must("list_consumer_groups", lambda: admin.list_consumer_groups().result(BOUND_SECONDS))
        self.must("describe_consumer_groups", lambda: all_of(
            admin.describe_consumer_groups([group], include_authorized_operations=True)))
        if options.group:
            self.must("describe_consumer_groups of members", lambda: all_of(
                admin.describe_consumer_groups([options.group])))
        self.must("delete_consumer_groups", lambda: all_of(admin.delete_consumer_groups([group])))

    def security(self):
        admin, topic = self.admin, self.options.topic
        parts = (ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, "User:tests", "*",
                 AclOperation.READ, AclPermissionType.ALLOW)
        self.may("create_acls", lambda: all_of(admin.create_acls([AclBinding(*parts)])))
        self.may("describe_acls", lambda: admin.describe_acls(
            AclBindingFilter(*parts)).result(BOUND_SECONDS))
        self.may("delete_acls", lambda: all_of(admin.delete_acls([AclBindingFilter(*parts)])))
        credential = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096)
        self.may("alter_user_scram_credentials", lambda: all_of(admin.alter_user_scram_credentials(
            [UserScramCredentialUpsertion("tests", credential, b"secret", b"salt")])))
        self.may("describe_user_scram_credentials", lambda: all_of(
            admin.describe_user_scram_credentials(["tests"])))

    def must(self, name, step):
        """A step that every broker can do."""
        try:
            step()
        except KafkaException as error:
            raise AssertionError(f"{name}: {error}") from error
        self.done.append(name)

    def may(self, name, step):
        """A step that a broker may decline, by an error or by not having the API."""
        try:
            step()
            self.done.append(name)
        except KafkaException:
            self.declined.append(name)

    def refused(self, name, step):
        """A step that must be an error."""
        try:
            step()
        except KafkaException:
            self.done.append(name)
            return
        raise AssertionError(f"{name}: it was not")


def all_of(futures):
    for future in futures.values():
        future.result(BOUND_SECONDS)
