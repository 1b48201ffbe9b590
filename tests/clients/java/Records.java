import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.header.Headers;
import org.apache.kafka.common.header.internals.RecordHeaders;

/** The records that every client writes and reads: see ../README.md. */
final class Records {
    private static final int BLOCK_SIZE = 65536;
    private static final int LARGE_LENGTH = 20000;
    private static final byte[] BLOCK = makeBlock();

    /** A record is not what was written. */
    static final class Mismatch extends RuntimeException {
        Mismatch(String message) {
            super(message);
        }
    }

    private Records() {}

    private static byte[] makeBlock() {
        byte[] block = new byte[BLOCK_SIZE];
        int x = (int) 2463534242L;
        for (int j = 0; j < BLOCK_SIZE; j++) {
            x ^= x << 13;
            x ^= x >>> 17;
            x ^= x << 5;
            int b = j < 32768 ? x & 0xff : 97 + (x & 15);
            block[j] = (byte) (b == 9 || b == 10 ? 95 : b);
        }
        return block;
    }

    static byte[] key(long i) {
        return i % 7 == 3 ? null : utf8("key-" + i % 5000);
    }

    static byte[] value(long seed, long i) {
        if (i % 13 == 5) return null;
        int length = i % 1000 == 999 ? LARGE_LENGTH : (int) (20 + (i * 31) % 180);
        int start = (int) ((i * 7919 + seed * 104729) % (BLOCK_SIZE - LARGE_LENGTH));
        byte[] head = utf8(seed + ":" + i + ":");
        byte[] value = Arrays.copyOf(head, head.length + length);
        System.arraycopy(BLOCK, start, value, head.length, length);
        return value;
    }

    static Headers headers(long i) {
        RecordHeaders headers = new RecordHeaders();
        if (i % 3 >= 1) headers.add("a", utf8(Long.toString(i)));
        if (i % 3 >= 2) headers.add("b", utf8("é-" + i % 10));
        return headers;
    }

    static long timestamp(long baseMs, long i) {
        return baseMs + i * 3 - (i % 5) * 7;
    }

    /** Compares a record with what its offset must hold. */
    static void verify(Options options, ConsumerRecord<byte[], byte[]> record) {
        long i = record.offset() * options.partitions + record.partition();
        check(options, record, i, "key", Arrays.equals(record.key(), key(i)));
        check(options, record, i, "value", Arrays.equals(record.value(), value(options.seed, i)));
        if (options.shape.equals("plain")) {
            Headers origin = new RecordHeaders().add("origin", utf8("kcat"));
            check(options, record, i, "headers", record.headers().equals(origin));
            long latest = System.currentTimeMillis() + 60_000;
            boolean present = record.timestamp() >= options.baseMs && record.timestamp() <= latest;
            check(options, record, i, "timestamp", present);
        } else {
            check(options, record, i, "headers", record.headers().equals(headers(i)));
            boolean same = record.timestamp() == timestamp(options.baseMs, i);
            check(options, record, i, "timestamp", same);
        }
    }

    private static void check(
            Options options, ConsumerRecord<?, ?> record, long i, String what, boolean same) {
        if (same) return;
        throw new Mismatch("record " + i + " of seed " + options.seed + ": wrong " + what + " in " + record);
    }

    private static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }
}
