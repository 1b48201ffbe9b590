/**
 * Who connects to a Kafka address by mistake, told by the first four bytes, which would be a request's size.
 *
 * @module
 */

/** For people; null: the bytes may be a size. */
export function strangerWords(prefix: number): string | null {
  const text = String.fromCharCode(
    prefix >>> 24,
    (prefix >>> 16) & 0xff,
    (prefix >>> 8) & 0xff,
    prefix & 0xff,
  );
  if (text === "GRP1") {
    return "it is a node of a cluster that looks for another one: its --seeds, or an " +
      "--advertised-rpc-addr, names this address, which is for clients";
  }
  if (/^(GET |POST|HEAD|PUT |OPTI)$/.test(text)) return "it speaks HTTP: the admin address does";
  // A handshake record of TLS 1.0 to 1.3.
  if (prefix >>> 8 === 0x160301 || prefix >>> 8 === 0x160303) {
    return "it speaks TLS, which is not supported: clients connect with security.protocol=PLAINTEXT";
  }
  return null;
}
