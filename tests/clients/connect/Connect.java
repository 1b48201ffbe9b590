import org.apache.kafka.connect.cli.ConnectDistributed;

/** A worker of Kafka Connect, from the jars alone: {@code WORKER.properties}. */
public final class Connect {
    public static void main(String[] args) {
        ConnectDistributed.main(args);
    }
}
