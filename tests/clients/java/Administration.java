import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.DescribeConfigsOptions;
import org.apache.kafka.clients.admin.DescribeTopicsOptions;
import org.apache.kafka.clients.admin.NewPartitionReassignment;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.ScramCredentialInfo;
import org.apache.kafka.clients.admin.ScramMechanism;
import org.apache.kafka.clients.admin.UserScramCredentialUpsertion;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclBindingFilter;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.quota.ClientQuotaAlteration;
import org.apache.kafka.common.quota.ClientQuotaEntity;
import org.apache.kafka.common.quota.ClientQuotaFilter;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;

/** The command {@code admin} of ../README.md, over a topic that exists and has records. */
final class Administration {
    private final Options options;
    private final Admin admin;
    private final List<String> done = new ArrayList<>();
    private final List<String> declined = new ArrayList<>();

    private interface Step {
        void run() throws Exception;
    }

    Administration(Options options, Admin admin) {
        this.options = options;
        this.admin = admin;
    }

    /** What is done and what was declined, as members of the result line. */
    String run() throws Exception {
        cluster();
        configs();
        partitions();
        groups();
        security();
        must("deleteTopics", () -> admin.deleteTopics(List.of(options.topic)).all().get());
        return ",\"done\":" + json(done) + ",\"declined\":" + json(declined);
    }

    private void cluster() throws Exception {
        must("describeCluster", () -> admin.describeCluster().nodes().get());
        must("listTopics", () -> admin.listTopics().names().get());
        must("describeTopics", () -> admin.describeTopics(
                List.of(options.topic), new DescribeTopicsOptions().includeAuthorizedOperations(true))
                .allTopicNames().get());
        must("describeLogDirs", () -> admin.describeLogDirs(nodes()).allDescriptions().get());
        may("describeFeatures", () -> admin.describeFeatures().featureMetadata().get());
        must("describeMetadataQuorum", () -> {
            var quorum = admin.describeMetadataQuorum().quorumInfo().get();
            boolean isLed = quorum.voters().stream().anyMatch(voter -> voter.replicaId() == quorum.leaderId());
            if (!isLed) throw new Records.Mismatch("the leader of the quorum is none of its voters");
        });
        may("listTransactions", () -> admin.listTransactions().all().get());
        may("describeTransactions", () -> admin.describeTransactions(List.of("none")).all().get());
    }

    private void configs() throws Exception {
        ConfigResource topic = new ConfigResource(ConfigResource.Type.TOPIC, options.topic);
        ConfigResource broker = new ConfigResource(
                ConfigResource.Type.BROKER, Integer.toString(nodes().iterator().next()));
        AlterConfigOp set = new AlterConfigOp(
                new ConfigEntry("retention.ms", "3600000"), AlterConfigOp.OpType.SET);
        must("incrementalAlterConfigs", () -> admin.incrementalAlterConfigs(Map.of(topic, List.of(set)))
                .all().get());
        must("describeConfigs", () -> admin.describeConfigs(
                List.of(topic), new DescribeConfigsOptions().includeSynonyms(true)).all().get());
        must("describeConfigs of a broker", () -> admin.describeConfigs(List.of(broker)).all().get());
        may("listConfigResources", () -> admin.listConfigResources().all().get());
    }

    private void partitions() throws Exception {
        TopicPartition first = new TopicPartition(options.topic, 0);
        must("createPartitions", () -> admin.createPartitions(
                Map.of(options.topic, NewPartitions.increaseTo(options.partitions + 1))).all().get());
        for (OffsetSpec spec : List.of(
                OffsetSpec.earliest(), OffsetSpec.latest(), OffsetSpec.maxTimestamp(),
                OffsetSpec.forTimestamp(options.baseMs))) {
            must("listOffsets", () -> admin.listOffsets(Map.of(first, spec)).all().get());
        }
        must("describeProducers", () -> admin.describeProducers(List.of(first)).all().get());
        must("deleteRecords", () -> admin.deleteRecords(
                Map.of(first, RecordsToDelete.beforeOffset(1))).all().get());
        must("listPartitionReassignments", () -> admin.listPartitionReassignments().reassignments().get());
        may("alterPartitionReassignments", () -> admin.alterPartitionReassignments(
                Map.of(first, Optional.of(new NewPartitionReassignment(List.copyOf(nodes()))))).all().get());
        may("electLeaders", () -> admin.electLeaders(ElectionType.PREFERRED, Set.of(first)).all().get());
        must("createTopics, refused", () -> {
            try {
                admin.createTopics(List.of(new NewTopic(options.topic, 1, (short) 1))).all().get();
            } catch (ExecutionException expected) {
                return;
            }
            throw new Records.Mismatch("a topic was created twice");
        });
    }

    private void groups() throws Exception {
        String group = options.topic + "-admin";
        TopicPartition first = new TopicPartition(options.topic, 0);
        // There since createPartitions. A group is gone with its last offset in some brokers.
        TopicPartition second = new TopicPartition(options.topic, 1);
        OffsetAndMetadata offset = new OffsetAndMetadata(1, Optional.of(0), "by hand");
        must("alterConsumerGroupOffsets", () -> admin.alterConsumerGroupOffsets(group, 
                Map.of(first, offset, second, offset)).all().get());
        must("listConsumerGroupOffsets", () -> admin.listConsumerGroupOffsets(group)
                .partitionsToOffsetAndMetadata().get());
        must("listGroups", () -> admin.listGroups().all().get());
        must("describeClassicGroups", () -> admin.describeClassicGroups(List.of(group)).all().get());
        must("describeConsumerGroups", () -> admin.describeConsumerGroups(List.of(group)).all().get());
        if (options.group != null) {
            must("describeConsumerGroups of members", () -> admin.describeConsumerGroups(
                    List.of(options.group)).all().get());
        }
        must("deleteConsumerGroupOffsets", () -> admin.deleteConsumerGroupOffsets(group, Set.of(first))
                .all().get());
        must("deleteConsumerGroups", () -> admin.deleteConsumerGroups(List.of(group)).all().get());
        may("describeShareGroups", () -> admin.describeShareGroups(List.of(group)).all().get());
    }

    private void security() {
        AclBinding acl = new AclBinding(
                new ResourcePattern(ResourceType.TOPIC, options.topic, PatternType.LITERAL),
                new AccessControlEntry("User:tests", "*", AclOperation.READ, AclPermissionType.ALLOW));
        may("createAcls", () -> admin.createAcls(List.of(acl)).all().get());
        may("describeAcls", () -> admin.describeAcls(AclBindingFilter.ANY).values().get());
        may("deleteAcls", () -> admin.deleteAcls(List.of(acl.toFilter())).all().get());
        ClientQuotaEntity user = new ClientQuotaEntity(Map.of(ClientQuotaEntity.USER, "tests"));
        may("alterClientQuotas", () -> admin.alterClientQuotas(List.of(new ClientQuotaAlteration(
                user, List.of(new ClientQuotaAlteration.Op("producer_byte_rate", 1e6))))).all().get());
        may("describeClientQuotas", () -> admin.describeClientQuotas(ClientQuotaFilter.all()).entities().get());
        may("alterUserScramCredentials", () -> admin.alterUserScramCredentials(List.of(
                new UserScramCredentialUpsertion(
                        "tests", new ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096), "secret")))
                .all().get());
        may("describeUserScramCredentials", () -> admin.describeUserScramCredentials().all().get());
        may("createDelegationToken", () -> admin.createDelegationToken().delegationToken().get());
    }

    private Collection<Integer> nodes() throws Exception {
        return admin.describeCluster().nodes().get().stream()
                .map(node -> node.id()).collect(Collectors.toList());
    }

    /** A step that every broker can do. */
    private void must(String name, Step step) throws Exception {
        try {
            step.run();
        } catch (ExecutionException error) {
            throw new Records.Mismatch(name + ": " + error.getCause());
        }
        done.add(name);
    }

    /** A step that a broker may decline, by an error or by not having the API. */
    private void may(String name, Step step) {
        try {
            step.run();
            done.add(name);
        } catch (Exception error) {
            declined.add(name);
        }
    }

    private static String json(List<String> names) {
        return names.stream().map(name -> "\"" + name + "\"").collect(Collectors.joining(",", "[", "]"));
    }
}
