import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import org.apache.kafka.common.utils.internals.Exit;

/**
 * Kafka's command line tools, one after the other in one process: each takes seconds to start.
 *
 * A line of standard input is a tool's class and its arguments, separated by tabs. The answer is what the tool printed, each
 * line after a vertical bar, then a line with its exit code.
 */
public final class Tools {
    private static final PrintStream NOWHERE = new PrintStream(OutputStream.nullOutputStream());

    /** The first exit of a tool counts: some catch the exception that ends them here, and go on to another one. */
    private static Integer code;

    private static final class Ended extends RuntimeException {
        Ended() {
            super(null, null, false, false);
        }
    }

    public static void main(String[] args) throws Exception {
        PrintStream out = System.out;
        Exit.Procedure end = (status, message) -> {
            if (code == null) {
                if (message != null) System.out.println(message);
                code = status;
                printTo(NOWHERE);
            }
            throw new Ended();
        };
        Exit.setExitProcedure(end);
        Exit.setHaltProcedure(end);
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] words = line.split("\t");
            ByteArrayOutputStream bytes = new ByteArrayOutputStream();
            code = null;
            printTo(new PrintStream(bytes, true, StandardCharsets.UTF_8));
            run(words[0], Arrays.copyOfRange(words, 1, words.length));
            String printed = bytes.toString(StandardCharsets.UTF_8);
            if (!printed.isEmpty()) for (String text : printed.split("\n")) out.println("|" + text);
            out.println(code == null ? 0 : code);
            out.flush();
        }
    }

    private static void printTo(PrintStream stream) {
        System.setOut(stream);
        System.setErr(stream);
    }

    private static void run(String name, String[] args) throws Exception {
        try {
            Class<?> tool = Class.forName("org.apache.kafka.tools." + name);
            tool.getMethod("main", String[].class).invoke(null, (Object) args);
        } catch (InvocationTargetException thrown) {
            if (thrown.getCause() instanceof Ended) return;
            thrown.getCause().printStackTrace(System.out);
            code = 1;
        }
    }
}
