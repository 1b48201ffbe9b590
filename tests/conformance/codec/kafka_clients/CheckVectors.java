import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HexFormat;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.ObjectSerializationCache;

/**
 * Reads lines "Message version hex", decodes each with Kafka's own class, encodes it again and compares
 * the bytes. Prints one line per difference and at last "checked N skipped N different N"; skipped is
 * what this release of Kafka does not have.
 */
public class CheckVectors {
    private static final String[] PACKAGES = {
        "org.apache.kafka.common.message.",
        "org.apache.kafka.coordinator.group.generated.",
        "org.apache.kafka.coordinator.transaction.generated.",
    };

    public static void main(String[] args) throws Exception {
        int checked = 0;
        int skipped = 0;
        int different = 0;
        for (String line : Files.readAllLines(Path.of(args[0]))) {
            String[] parts = line.split(" ", -1);
            short version = Short.parseShort(parts[1]);
            Message message = create(parts[0]);
            if (message == null || version < message.lowestSupportedVersion()
                || version > message.highestSupportedVersion()) {
                skipped++;
                continue;
            }
            checked++;
            String problem = compare(message, version, HexFormat.of().parseHex(parts[2]));
            if (problem == null) continue;
            different++;
            System.out.println(line + ": " + problem);
        }
        System.out.println("checked " + checked + " skipped " + skipped + " different " + different);
    }

    private static String compare(Message message, short version, byte[] bytes) {
        try {
            ByteBufferAccessor input = new ByteBufferAccessor(ByteBuffer.wrap(bytes));
            message.read(input, version);
            if (input.remaining() != 0) return input.remaining() + " bytes are left";
            ObjectSerializationCache cache = new ObjectSerializationCache();
            byte[] again = new byte[message.size(cache, version)];
            message.write(new ByteBufferAccessor(ByteBuffer.wrap(again)), cache, version);
            return Arrays.equals(bytes, again) ? null : "became " + HexFormat.of().formatHex(again);
        } catch (RuntimeException error) {
            return error.toString();
        }
    }

    private static Message create(String name) throws ReflectiveOperationException {
        for (String packageName : PACKAGES) {
            for (String suffix : new String[] {"Data", ""}) {
                try {
                    Class<?> type = Class.forName(packageName + name + suffix);
                    if (Message.class.isAssignableFrom(type)) {
                        return (Message) type.getDeclaredConstructor().newInstance();
                    }
                } catch (ClassNotFoundException absent) {
                    continue;
                }
            }
        }
        return null;
    }
}
