import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** kafka-clients under the contract of ../README.md. */
public final class Client {
    private static final Duration BOUND = Duration.ofSeconds(30);
    private static final long SILENCE_MS_MAX = 20_000;

    private final Options options;

    private Client(Options options) {
        this.options = options;
    }

    public static void main(String[] args) {
        Options options = new Options(args);
        long startedNs = System.nanoTime();
        try {
            String result = new Client(options).run();
            double seconds = (System.nanoTime() - startedNs) / 1e9;
            say(String.format(
                    "{\"ok\":true,\"command\":\"%s\",\"seconds\":%.3f%s}", options.command, seconds, result));
            exit(0);
        } catch (Exception error) {
            String text = error.toString().replace("\\", "/").replaceAll("[\"\\p{Cntrl}]", "'");
            say("{\"ok\":false,\"command\":\"" + options.command + "\",\"error\":\"" + text + "\"}");
            error.printStackTrace();
            exit(1);
        }
    }

    /** Without the shutdown hook of {@link Member}, which waits for main to return. */
    private static void exit(int code) {
        System.out.flush();
        Runtime.getRuntime().halt(code);
    }

    private String run() throws Exception {
        switch (options.command) {
            case "create":
                create();
                return "";
            case "produce":
                produce();
                return ",\"records\":" + options.count;
            case "consume":
                return ",\"records\":" + consume();
            case "roundtrip":
                create();
                produce();
                return ",\"records\":" + consume();
            case "member":
                new Member(options).run();
                return "";
            case "follow":
                new Follower(options).run();
                return "";
            case "committed":
                return committed();
            case "admin":
                create();
                produce();
                try (Admin admin = Admin.create(settings())) {
                    return new Administration(options, admin).run();
                }
            case "transaction":
                create();
                new Transaction(options).run();
                return "";
            case "copy":
                return new CopyLoop(options).run();
            default:
                throw new IllegalArgumentException("no command " + options.command);
        }
    }

    private void create() throws Exception {
        try (Admin admin = Admin.create(settings())) {
            NewTopic topic = new NewTopic(options.topic, Optional.of(options.partitions), Optional.empty());
            admin.createTopics(List.of(topic)).all().get();
        }
    }

    private void produce() throws Exception {
        Properties settings = settings();
        settings.put("key.serializer", ByteArraySerializer.class);
        settings.put("value.serializer", ByteArraySerializer.class);
        settings.put("compression.type", options.codec);
        settings.put("acks", options.acks);
        settings.put("enable.idempotence", options.acks.equals("all"));
        settings.put("linger.ms", 5);
        settings.put("delivery.timeout.ms", 60_000);
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(settings)) {
            for (long i = options.first; i < options.first + options.count; i++) {
                sent.add(producer.send(new ProducerRecord<>(
                        options.topic,
                        (int) (i % options.partitions),
                        Records.timestamp(options.baseMs, i),
                        Records.key(i),
                        Records.value(options.seed, i),
                        Records.headers(i))));
            }
        }
        for (int at = 0; at < sent.size(); at++) acknowledged(options.first + at, sent.get(at));
    }

    /** The acknowledgement names the offset, except with acks=0. */
    private void acknowledged(long i, Future<RecordMetadata> sent)
            throws ExecutionException, InterruptedException {
        RecordMetadata metadata = sent.get();
        long wanted = options.acks.equals("0") ? -1 : i / options.partitions;
        if (metadata.offset() != wanted) {
            throw new Records.Mismatch("record " + i + " acknowledged as " + metadata);
        }
    }

    private long consume() {
        Properties settings = consumerSettings();
        settings.put("auto.offset.reset", "none");
        settings.put("check.crcs", true);
        settings.put("max.poll.records", 5000);
        List<TopicPartition> partitions = partitions();
        long[] position = new long[options.partitions];
        long read = 0;
        try (Consumer<byte[], byte[]> consumer = new KafkaConsumer<>(settings)) {
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            long heardMs = System.currentTimeMillis();
            while (read < options.count) {
                ConsumerRecords<byte[], byte[]> records = consumer.poll(Duration.ofMillis(500));
                if (!records.isEmpty()) heardMs = System.currentTimeMillis();
                if (System.currentTimeMillis() - heardMs > SILENCE_MS_MAX) {
                    throw new Records.Mismatch("no more records, positions " + Arrays.toString(position));
                }
                for (ConsumerRecord<byte[], byte[]> record : records) {
                    long wanted = position[record.partition()]++;
                    if (record.offset() != wanted) {
                        throw new Records.Mismatch("offset " + wanted + " is missing: " + record);
                    }
                    Records.verify(options, record);
                    read++;
                }
            }
            Map<TopicPartition, Long> ends = consumer.endOffsets(partitions, BOUND);
            for (TopicPartition partition : partitions) {
                long wanted = options.recordsIn(partition.partition());
                if (ends.get(partition) != wanted) {
                    throw new Records.Mismatch(partition + " ends at " + ends.get(partition) + ", not " + wanted);
                }
            }
        }
        return read;
    }

    private String committed() throws Exception {
        Map<TopicPartition, OffsetAndMetadata> offsets;
        try (Admin admin = Admin.create(settings())) {
            offsets = admin.listConsumerGroupOffsets(options.group).partitionsToOffsetAndMetadata().get();
        }
        try (Consumer<byte[], byte[]> consumer = new KafkaConsumer<>(consumerSettings())) {
            Map<TopicPartition, Long> ends = consumer.endOffsets(partitions(), BOUND);
            return ",\"committed\":" + array(partition -> {
                OffsetAndMetadata offset = offsets.get(partition);
                return offset == null ? -1 : offset.offset();
            }) + ",\"end\":" + array(ends::get);
        }
    }

    private interface OffsetOf {
        long get(TopicPartition partition);
    }

    private String array(OffsetOf offset) {
        return partitions().stream()
                .map(partition -> Long.toString(offset.get(partition)))
                .collect(Collectors.joining(",", "[", "]"));
    }

    private List<TopicPartition> partitions() {
        List<TopicPartition> partitions = new ArrayList<>();
        for (int p = 0; p < options.partitions; p++) partitions.add(new TopicPartition(options.topic, p));
        return partitions;
    }

    private Properties settings() {
        return settings(options);
    }

    static Properties settings(Options options) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", options.brokers);
        settings.put("default.api.timeout.ms", 30_000);
        settings.put("request.timeout.ms", 20_000);
        return settings;
    }

    private Properties consumerSettings() {
        return consumerSettings(options);
    }

    static Properties consumerSettings(Options options) {
        Properties settings = settings(options);
        settings.put("key.deserializer", ByteArrayDeserializer.class);
        settings.put("value.deserializer", ByteArrayDeserializer.class);
        settings.put("enable.auto.commit", false);
        return settings;
    }

    static void say(String line) {
        System.out.println(line);
        System.out.flush();
    }
}
