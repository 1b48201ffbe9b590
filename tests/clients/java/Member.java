import java.time.Duration;
import java.util.Collection;
import java.util.List;
import java.util.Properties;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.common.errors.WakeupException;

/** One member of a group: processes, reports, commits, until SIGTERM. */
final class Member {
    private final Options options;
    private volatile boolean stopping = false;

    Member(Options options) {
        this.options = options;
    }

    void run() {
        Properties settings = Client.consumerSettings(options);
        settings.put("group.id", options.group);
        settings.put("auto.offset.reset", "earliest");
        if (options.protocol.equals("consumer")) {
            settings.put("group.protocol", "consumer");
        } else {
            settings.put("session.timeout.ms", options.sessionMs);
            settings.put("heartbeat.interval.ms", options.sessionMs / 6);
        }
        try (Consumer<byte[], byte[]> consumer = new KafkaConsumer<>(settings)) {
            stopOnSignal(consumer);
            consumer.subscribe(List.of(options.topic), new Reporter(consumer));
            while (!stopping) step(consumer);
        } catch (WakeupException stopped) {
            if (!stopping) throw stopped;
        }
    }

    private void step(Consumer<byte[], byte[]> consumer) {
        ConsumerRecords<byte[], byte[]> records = consumer.poll(Duration.ofMillis(500));
        if (records.isEmpty()) return;
        for (TopicPartition partition : records.partitions()) process(partition, records.records(partition));
        try {
            consumer.commitSync(records.nextOffsets());
        } catch (CommitFailedException | RebalanceInProgressException lost) {
            // Another member will process these again.
            System.err.println("not committed: " + lost.getMessage());
        }
    }

    private void process(TopicPartition partition, List<ConsumerRecord<byte[], byte[]>> records) {
        long from = records.get(0).offset();
        long next = from;
        for (ConsumerRecord<byte[], byte[]> record : records) {
            if (record.offset() != next++) throw new Records.Mismatch("offset missing before " + record);
            Records.verify(options, record);
        }
        Client.say(String.format(
                "{\"event\":\"processed\",\"partition\":%d,\"from\":%d,\"to\":%d}",
                partition.partition(), from, next));
    }

    /** SIGTERM runs shutdown hooks; the process ends when main does, through halt. */
    private void stopOnSignal(Consumer<byte[], byte[]> consumer) {
        Thread main = Thread.currentThread();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            stopping = true;
            consumer.wakeup();
            try {
                main.join();
            } catch (InterruptedException interrupted) {
                Thread.currentThread().interrupt();
            }
        }));
    }

    /** Reports the whole assignment after each change: a cooperative one names only what is new. */
    private static final class Reporter implements ConsumerRebalanceListener {
        private final Consumer<byte[], byte[]> consumer;

        Reporter(Consumer<byte[], byte[]> consumer) {
            this.consumer = consumer;
        }

        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> added) {
            Client.say(consumer.assignment().stream()
                    .map(partition -> Integer.toString(partition.partition()))
                    .collect(Collectors.joining(",", "{\"event\":\"assigned\",\"partitions\":[", "]}")));
        }

        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> removed) {}
    }
}
