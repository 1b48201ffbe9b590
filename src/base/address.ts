/**
 * How an address is written for people and for flags.
 *
 * @module
 */

/** `HOST:PORT`, an IPv6 address in brackets, so that it can be given back as it is printed. */
export function hostPort(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
