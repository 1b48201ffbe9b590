import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** The command {@code copy} of ../README.md: each record of a topic once into another, whatever becomes of the brokers. */
final class CopyLoop {
    private static final long BOUND_MS = 100_000;
    /** Every so many transactions one is aborted. */
    private static final int ABORTS_EACH = 5;

    private final Options options;
    private final List<TopicPartition> source = new ArrayList<>();
    private final long deadlineMs = System.currentTimeMillis() + BOUND_MS;
    private int transactions = 0;
    private int renewals = 0;

    CopyLoop(Options options) {
        this.options = options;
        for (int p = 0; p < options.partitions; p++) source.add(new TopicPartition(options.topic, p));
    }

    String run() {
        while (!copy()) {
            if (System.currentTimeMillis() > deadlineMs) throw new Records.Mismatch("not done in time");
            renewals++;
        }
        verify();
        return ",\"transactions\":" + transactions + ",\"renewals\":" + renewals;
    }

    /** Copies until all is copied; false: the producer cannot go on. */
    private boolean copy() {
        Properties settings = Client.settings(options);
        settings.put("key.serializer", ByteArraySerializer.class);
        settings.put("value.serializer", ByteArraySerializer.class);
        settings.put("transactional.id", options.group);
        settings.put("transaction.timeout.ms", 20_000);
        settings.put("delivery.timeout.ms", 15_000);
        settings.put("request.timeout.ms", 10_000);
        settings.put("max.block.ms", 30_000);
        Properties reading = Client.consumerSettings(options);
        reading.put("group.id", options.group);
        reading.put("isolation.level", "read_committed");
        reading.put("auto.offset.reset", "earliest");
        reading.put("max.poll.records", 40);
        reading.put("session.timeout.ms", 10_000);
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(settings);
                KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(reading)) {
            consumer.subscribe(List.of(options.topic));
            producer.initTransactions();
            while (System.currentTimeMillis() < deadlineMs) {
                ConsumerRecords<byte[], byte[]> records = consumer.poll(Duration.ofMillis(500));
                if (!records.isEmpty()) transact(producer, consumer, records);
                else if (isDone(consumer)) return true;
            }
            return false;
        } catch (KafkaException error) {
            return false;
        }
    }

    private void transact(
            KafkaProducer<byte[], byte[]> producer,
            KafkaConsumer<byte[], byte[]> consumer,
            ConsumerRecords<byte[], byte[]> records) {
        transactions++;
        producer.beginTransaction();
        try {
            for (ConsumerRecord<byte[], byte[]> record : records) {
                producer.send(new ProducerRecord<>(
                        options.topic + "-copy", record.partition(), record.key(), record.value()));
            }
            if (transactions % ABORTS_EACH == 0) {
                producer.flush();
                producer.abortTransaction();
                rewind(consumer);
                return;
            }
            Map<TopicPartition, OffsetAndMetadata> positions = new HashMap<>();
            for (TopicPartition partition : consumer.assignment()) {
                positions.put(partition, new OffsetAndMetadata(consumer.position(partition)));
            }
            producer.sendOffsetsToTransaction(positions, consumer.groupMetadata());
            commit(producer);
        } catch (TimeoutException | IllegalStateException error) {
            throw error;
        } catch (KafkaException error) {
            // Where it cannot be aborted, this throws, too.
            producer.abortTransaction();
            rewind(consumer);
        }
    }

    private void commit(KafkaProducer<byte[], byte[]> producer) {
        while (true) {
            try {
                producer.commitTransaction();
                return;
            } catch (TimeoutException error) {
                if (System.currentTimeMillis() > deadlineMs) throw error;
            }
        }
    }

    /** Back to what is committed. */
    private void rewind(KafkaConsumer<byte[], byte[]> consumer) {
        Map<TopicPartition, OffsetAndMetadata> committed = consumer.committed(consumer.assignment());
        for (TopicPartition partition : consumer.assignment()) {
            OffsetAndMetadata place = committed.get(partition);
            consumer.seek(partition, place == null ? 0 : place.offset());
        }
    }

    private boolean isDone(KafkaConsumer<byte[], byte[]> consumer) {
        Map<TopicPartition, OffsetAndMetadata> committed = consumer.committed(Set.copyOf(source));
        long sum = 0;
        for (OffsetAndMetadata place : committed.values()) if (place != null) sum += place.offset();
        return sum >= options.count;
    }

    /** The copy has every record once, in order. */
    private void verify() {
        Properties settings = Client.consumerSettings(options);
        settings.put("group.id", "none");
        settings.put("isolation.level", "read_committed");
        long[] following = new long[options.partitions];
        for (int p = 0; p < options.partitions; p++) following[p] = p;
        long read = 0;
        int quiet = 0;
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(settings)) {
            List<TopicPartition> copies = source.stream()
                    .map(each -> new TopicPartition(options.topic + "-copy", each.partition()))
                    .collect(Collectors.toList());
            consumer.assign(copies);
            consumer.seekToBeginning(copies);
            while (read < options.count || quiet < 4) {
                ConsumerRecords<byte[], byte[]> records = consumer.poll(Duration.ofMillis(500));
                quiet = records.isEmpty() ? quiet + 1 : 0;
                if (quiet > 40) throw new Records.Mismatch(read + " records in the copy");
                for (ConsumerRecord<byte[], byte[]> record : records) {
                    long i = following[record.partition()];
                    following[record.partition()] += options.partitions;
                    boolean isSame = java.util.Arrays.equals(record.key(), Records.key(i))
                            && java.util.Arrays.equals(record.value(), Records.value(options.seed, i));
                    if (!isSame) {
                        throw new Records.Mismatch("copy, partition " + record.partition() + ", offset "
                                + record.offset() + ": not record " + i);
                    }
                    read++;
                }
            }
        }
        if (read != options.count) {
            throw new Records.Mismatch(read + " records in the copy, not " + options.count);
        }
    }
}
