import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.LongDeserializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.state.Stores;

/**
 * An application of Kafka Streams with exactly-once processing, and what surrounds it:
 * {@code COMMAND BROKERS TOPIC PARTITIONS COUNT}.
 *
 * <ul>
 *   <li>{@code feed} writes that many words to the topic.
 *   <li>{@code count} says, for each word, how often it has come so far, in {@code TOPIC-counts}; it regroups the words by
 *       their first letters, so that it needs a topic to shuffle them and one for its state. It runs until it is killed.
 *   <li>{@code verify} reads the counts until there are as many as words: those of each word are 1, 2, 3 and so on.
 * </ul>
 */
public final class Streams {
    private static final int WORDS = 50;
    private static final long BOUND_MS = 120_000;
    private static final int QUIET_POLLS = 6;

    public static void main(String[] args) throws Exception {
        String brokers = args[1];
        String topic = args[2];
        int partitions = Integer.parseInt(args[3]);
        long count = Long.parseLong(args[4]);
        switch (args[0]) {
            case "feed" -> feed(brokers, topic, count);
            case "count" -> count(brokers, topic);
            case "verify" -> verify(brokers, topic + "-counts", partitions, count);
            default -> throw new IllegalArgumentException("no command " + args[0]);
        }
    }

    private static void feed(String brokers, String topic, long count) throws Exception {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", brokers);
        settings.put("key.serializer", StringSerializer.class);
        settings.put("value.serializer", StringSerializer.class);
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(settings)) {
            for (long i = 0; i < count; i++) {
                producer.send(new ProducerRecord<>(topic, "line-" + i, "word-" + i % WORDS), (metadata, refused) -> {
                    if (refused != null) throw new IllegalStateException(refused);
                });
                // There are words while brokers and applications die.
                if (i % 100 == 99) Thread.sleep(200);
            }
        }
        say("\"words\":" + count);
    }

    private static void count(String brokers, String topic) throws IOException, InterruptedException {
        Path state = Files.createTempDirectory("gregor-streams-");
        Properties settings = new Properties();
        settings.put("application.id", topic + "-counter");
        settings.put("bootstrap.servers", brokers);
        settings.put("processing.guarantee", "exactly_once_v2");
        settings.put("replication.factor", "3");
        settings.put("commit.interval.ms", "200");
        settings.put("state.dir", state.toString());
        settings.put("consumer.session.timeout.ms", "6000");
        settings.put("consumer.auto.offset.reset", "earliest");
        settings.put("producer.transaction.timeout.ms", "10000");
        // Every count is written, and not the last one of a while.
        settings.put("statestore.cache.max.bytes", "0");
        StreamsBuilder builder = new StreamsBuilder();
        builder.stream(topic, Consumed.with(Serdes.String(), Serdes.String()))
                .groupBy((line, word) -> word, Grouped.with(Serdes.String(), Serdes.String()))
                .count(Materialized.<String, Long>as(Stores.inMemoryKeyValueStore("counts"))
                        .withKeySerde(Serdes.String())
                        .withValueSerde(Serdes.Long()))
                .toStream()
                .to(topic + "-counts", Produced.with(Serdes.String(), Serdes.Long()));
        KafkaStreams streams = new KafkaStreams(builder.build(), settings);
        streams.setUncaughtExceptionHandler(thrown -> {
            System.err.println(thrown);
            return StreamThreadExceptionResponse.REPLACE_THREAD;
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(Duration.ofSeconds(20))));
        streams.start();
        Thread.sleep(BOUND_MS);
    }

    private static void verify(String brokers, String topic, int partitions, long count) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", brokers);
        settings.put("key.deserializer", StringDeserializer.class);
        settings.put("value.deserializer", LongDeserializer.class);
        settings.put("isolation.level", "read_committed");
        settings.put("enable.auto.commit", "false");
        Map<String, Long> last = new HashMap<>();
        long read = 0;
        long lateMs = System.currentTimeMillis() + BOUND_MS;
        try (KafkaConsumer<String, Long> consumer = new KafkaConsumer<>(settings)) {
            List<TopicPartition> all = IntStream.range(0, partitions)
                    .mapToObj(each -> new TopicPartition(topic, each))
                    .collect(Collectors.toList());
            consumer.assign(all);
            consumer.seekToBeginning(all);
            for (int quiet = 0; read < count || quiet < QUIET_POLLS;) {
                ConsumerRecords<String, Long> records = consumer.poll(Duration.ofMillis(500));
                quiet = records.isEmpty() ? quiet + 1 : 0;
                for (ConsumerRecord<String, Long> record : records) {
                    long wanted = last.getOrDefault(record.key(), 0L) + 1;
                    if (record.value() != wanted) {
                        throw new IllegalStateException(record.key() + " at " + record.partition() + "/"
                                + record.offset() + " is counted " + record.value() + ", not " + wanted);
                    }
                    last.put(record.key(), wanted);
                    read++;
                }
                if (read < count && System.currentTimeMillis() > lateMs) {
                    throw new IllegalStateException(read + " counts of " + count);
                }
            }
        }
        if (read != count) throw new IllegalStateException(read + " counts, not " + count);
        say("\"counts\":" + read);
    }

    private static void say(String fields) {
        System.out.println("{\"ok\":true," + fields + "}");
    }
}
