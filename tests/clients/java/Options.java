import java.util.HashMap;
import java.util.Map;

/** The flags of ../README.md. */
final class Options {
    final String command;
    final String brokers;
    final String topic;
    final int partitions;
    final long first;
    final long count;
    final long seed;
    final long baseMs;
    final String codec;
    final String acks;
    final String shape;
    final String group;
    final int sessionMs;
    final String protocol;

    Options(String[] args) {
        command = args[0];
        Map<String, String> flags = new HashMap<>();
        for (int i = 1; i + 1 < args.length; i += 2) flags.put(args[i], args[i + 1]);
        brokers = flags.get("--brokers");
        topic = flags.get("--topic");
        partitions = Integer.parseInt(flags.getOrDefault("--partitions", "1"));
        first = Long.parseLong(flags.getOrDefault("--first", "0"));
        count = Long.parseLong(flags.getOrDefault("--count", "1000"));
        seed = Long.parseLong(flags.getOrDefault("--seed", "1"));
        baseMs = Long.parseLong(flags.getOrDefault("--base-ms", "0"));
        codec = flags.getOrDefault("--codec", "none");
        acks = flags.getOrDefault("--acks", "all");
        shape = flags.getOrDefault("--shape", "full");
        group = flags.get("--group");
        sessionMs = Integer.parseInt(flags.getOrDefault("--session-ms", "6000"));
        protocol = flags.getOrDefault("--protocol", "classic");
    }

    /** How many of the records 0 to count - 1 are in a partition. */
    long recordsIn(int partition) {
        return (count - partition + partitions - 1) / partitions;
    }
}
