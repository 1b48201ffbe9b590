import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
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
    private static final class Ended extends RuntimeException {
        final int code;

        Ended(int code) {
            super(null, null, false, false);
            this.code = code;
        }
    }

    public static void main(String[] args) throws Exception {
        PrintStream out = System.out;
        Exit.Procedure end = (code, message) -> {
            if (message != null) System.out.println(message);
            throw new Ended(code);
        };
        Exit.setExitProcedure(end);
        Exit.setHaltProcedure(end);
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] words = line.split("\t");
            ByteArrayOutputStream bytes = new ByteArrayOutputStream();
            PrintStream printed = new PrintStream(bytes, true, StandardCharsets.UTF_8);
            System.setOut(printed);
            System.setErr(printed);
            int code = run(words[0], Arrays.copyOfRange(words, 1, words.length), printed);
            for (String text : bytes.toString(StandardCharsets.UTF_8).split("\n")) out.println("|" + text);
            out.println(code);
            out.flush();
        }
    }

    private static int run(String name, String[] args, PrintStream printed) throws Exception {
        try {
            Class<?> tool = Class.forName("org.apache.kafka.tools." + name);
            tool.getMethod("main", String[].class).invoke(null, (Object) args);
            return 0;
        } catch (InvocationTargetException thrown) {
            Throwable cause = thrown.getCause();
            if (cause instanceof Ended) return ((Ended) cause).code;
            cause.printStackTrace(printed);
            return 1;
        }
    }
}
