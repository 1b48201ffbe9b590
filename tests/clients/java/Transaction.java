import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** The command {@code transaction} of ../README.md, over a topic that exists. */
final class Transaction {
    private static final long BOUND_MS = 20_000;

    private final Options options;
    private final TopicPartition partition;

    Transaction(Options options) {
        this.options = options;
        partition = new TopicPartition(options.topic, 0);
    }

    void run() {
        Properties settings = Client.settings(options);
        settings.put("key.serializer", ByteArraySerializer.class);
        settings.put("value.serializer", ByteArraySerializer.class);
        settings.put("transactional.id", options.topic);
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(settings);
                KafkaConsumer<byte[], byte[]> consumer = consumer()) {
            producer.initTransactions();
            producer.beginTransaction();
            write(producer);
            producer.sendOffsetsToTransaction(
                    Map.of(partition, new OffsetAndMetadata(1)), consumer.groupMetadata());
            producer.commitTransaction();
            producer.beginTransaction();
            write(producer);
            producer.flush();
            producer.abortTransaction();
            read(consumer);
        }
    }

    private void write(KafkaProducer<byte[], byte[]> producer) {
        for (long i = 0; i < options.count; i++) {
            producer.send(new ProducerRecord<>(
                    options.topic, 0, Records.key(i), Records.value(options.seed, i)));
        }
    }

    private KafkaConsumer<byte[], byte[]> consumer() {
        Properties settings = Client.consumerSettings(options);
        settings.put("group.id", options.group);
        settings.put("isolation.level", "read_committed");
        return new KafkaConsumer<>(settings);
    }

    /** Committed records only: behind them are a marker, the aborted ones and another marker. */
    private void read(KafkaConsumer<byte[], byte[]> consumer) {
        long end = 2 * (options.count + 1);
        long read = 0;
        consumer.assign(List.of(partition));
        consumer.seekToBeginning(List.of(partition));
        long deadlineMs = System.currentTimeMillis() + BOUND_MS;
        while (consumer.position(partition) < end && System.currentTimeMillis() < deadlineMs) {
            read += consumer.poll(Duration.ofMillis(200)).count();
        }
        if (read != options.count) throw new Records.Mismatch(read + " records, not " + options.count);
    }
}
