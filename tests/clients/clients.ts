/**
 * The clients under test: how each program is started, and what its library can.
 *
 * @module
 */

const FOLDER = new URL(".", import.meta.url).pathname;

/** Where `scripts/install_clients.ts` puts what the programs need. */
export const CACHE: string = `${FOLDER}.cache/`;

export const CODECS = ["none", "gzip", "snappy", "lz4", "zstd"] as const;
export type Codec = typeof CODECS[number];

export type GroupProtocol = "classic" | "consumer";

export interface Client {
  readonly name: string;
  /** The program's command line, without the command of the contract. */
  program(codec: Codec): string[];
  /** Creates topics with any number of partitions and reads a group's offsets. */
  readonly hasAdmin: boolean;
  /** Has the command `transaction`. */
  readonly hasTransactions: boolean;
  /** Has the command `copy`. */
  readonly copies?: boolean;
  /** Its own records have the shape `plain`. */
  readonly writesPlain: boolean;
  /** What its producer is tried with besides `all`. */
  readonly otherAcks: readonly string[];
  readonly groupProtocols: readonly GroupProtocol[];
  /** Records of each topic that is recreated under its live consumer (after 20); none: not tried. */
  readonly recreations: readonly number[];
}

/** Fewer than the consumer has read, more, as many. */
const RECREATIONS = [5, 20, 20];

function deno(file: string): string[] {
  return [
    Deno.execPath(),
    "run",
    "-A",
    "--quiet",
    "--no-config",
    "--node-modules-dir=manual",
    FOLDER + file,
  ];
}

export const CLIENTS: readonly Client[] = [
  {
    name: "kcat",
    program: () => deno("kcat/client.ts"),
    hasAdmin: false,
    hasTransactions: false,
    writesPlain: true,
    otherAcks: ["1"],
    groupProtocols: ["classic"],
    recreations: [],
  },
  {
    name: "python",
    program: () => [`${CACHE}python/bin/python`, `${FOLDER}python/client.py`],
    hasAdmin: true,
    hasTransactions: true,
    copies: true,
    writesPlain: false,
    otherAcks: ["1", "0"],
    groupProtocols: ["classic", "consumer"],
    recreations: RECREATIONS,
  },
  {
    name: "java",
    program: () => [
      "java",
      "-Xmx512m",
      "-XX:+UseSerialGC",
      "-XX:TieredStopAtLevel=1",
      "-cp",
      `${CACHE}java/classes:${CACHE}java/lib/*`,
      "Client",
    ],
    hasAdmin: true,
    hasTransactions: true,
    copies: true,
    writesPlain: false,
    otherAcks: ["1", "0"],
    groupProtocols: ["classic", "consumer"],
    recreations: RECREATIONS,
  },
  {
    name: "go",
    program: () => [`${CACHE}go/client`],
    hasAdmin: true,
    hasTransactions: true,
    copies: true,
    writesPlain: false,
    otherAcks: ["1", "0"],
    groupProtocols: ["classic", "consumer"],
    // It asks for metadata some eight seconds after the topic went.
    recreations: [30],
  },
  {
    name: "kafkajs",
    // Node.js before 22.15 has no zstd for kafkajs to be given; Deno has.
    program: (codec) =>
      codec === "zstd" ? deno("kafkajs/client.mjs") : ["node", `${FOLDER}kafkajs/client.mjs`],
    hasAdmin: true,
    hasTransactions: true,
    writesPlain: false,
    otherAcks: ["1", "0"],
    groupProtocols: ["classic"],
    recreations: [],
  },
  {
    name: "platformatic",
    program: () => deno("platformatic/client.mjs"),
    hasAdmin: true,
    hasTransactions: false,
    writesPlain: false,
    otherAcks: ["1", "0"],
    groupProtocols: ["classic", "consumer"],
    recreations: [],
  },
];

/**
 * Why a client cannot run here, or null when it is prepared. The installer leaves `NAME.missing` with
 * the reason, or `NAME.ready`.
 */
export function whyMissing({ name }: Pick<Client, "name">): string | null {
  const read = (file: string): string | null => {
    try {
      return Deno.readTextFileSync(CACHE + file);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return null;
      throw error;
    }
  };
  if (read(`${name}.ready`) !== null) return null;
  return read(`${name}.missing`)?.trim() ?? "not prepared: deno run -A scripts/install_clients.ts";
}

/** Flags of the contract, from their names in TypeScript. */
export function flags(values: Readonly<Record<string, string | number>>): string[] {
  return Object.entries(values).flatMap(([name, value]) => {
    return [`--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`, String(value)];
  });
}
