import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;

/** Reads a topic as it comes, whatever happens to it, and reports each record, until it is killed. */
final class Follower {
    private final Options options;

    Follower(Options options) {
        this.options = options;
    }

    void run() {
        Properties settings = Client.consumerSettings(options);
        settings.put("auto.offset.reset", "earliest");
        // Or it makes the topic anew itself, before the test does.
        settings.put("allow.auto.create.topics", false);
        if (options.group != null) {
            settings.put("group.id", options.group);
            settings.put("enable.auto.commit", true);
            settings.put("auto.commit.interval.ms", 500);
        }
        try (Consumer<byte[], byte[]> consumer = new KafkaConsumer<>(settings)) {
            if (options.group != null) consumer.subscribe(List.of(options.topic));
            else consumer.assign(partitions());
            while (true) {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(200))) {
                    Client.say(String.format(
                            "{\"event\":\"read\",\"partition\":%d,\"offset\":%d,\"value\":\"%s\"}",
                            record.partition(), record.offset(), new String(record.value())));
                }
            }
        }
    }

    private List<TopicPartition> partitions() {
        List<TopicPartition> partitions = new ArrayList<>();
        for (int p = 0; p < options.partitions; p++) partitions.add(new TopicPartition(options.topic, p));
        return partitions;
    }
}
