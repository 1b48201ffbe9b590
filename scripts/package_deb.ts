/**
 * `deno task deb`: makes `dist/gregor_VERSION_amd64.deb` of `dist/gregor`, which `deno task compile` made.
 *
 * The package has no dependency but on what makes its user: the program brings its C library along.
 *
 * @module
 */

import { VERSION } from "../src/cli/version.ts";
import { exists, ROOT, run } from "./run.ts";

/** Target path, source from the root, and mode of each file. */
const FILES: readonly (readonly [string, string, number])[] = [
  ["usr/bin/gregor", "dist/gregor", 0o755],
  ["usr/lib/systemd/system/gregor.service", "packaging/gregor.service", 0o644],
  ["etc/gregor/gregor.env", "packaging/debian/gregor.env", 0o644],
  ["usr/share/doc/gregor/copyright", "packaging/debian/copyright", 0o644],
  ["usr/share/doc/gregor/OPERATIONS.md", "docs/OPERATIONS.md", 0o644],
  ["usr/share/doc/gregor/CONFIG.md", "docs/CONFIG.md", 0o644],
  ["usr/share/doc/gregor/CLI.md", "docs/CLI.md", 0o644],
  ["DEBIAN/postinst", "packaging/debian/postinst", 0o755],
  ["DEBIAN/prerm", "packaging/debian/prerm", 0o755],
  ["DEBIAN/postrm", "packaging/debian/postrm", 0o755],
];

async function main(): Promise<number> {
  if (!exists(`${ROOT}dist/gregor`)) {
    console.error("There is no dist/gregor: deno task compile makes it.");
    return 1;
  }
  const folder = Deno.makeTempDirSync({ prefix: "gregor-deb-" });
  try {
    let bytes = 0;
    for (const [target, source, mode] of FILES) {
      const path = `${folder}/${target}`;
      Deno.mkdirSync(path.slice(0, path.lastIndexOf("/")), { recursive: true, mode: 0o755 });
      Deno.copyFileSync(ROOT + source, path);
      Deno.chmodSync(path, mode);
      bytes += Deno.statSync(path).size;
    }
    Deno.chmodSync(folder, 0o755);
    Deno.writeTextFileSync(`${folder}/DEBIAN/control`, control(bytes));
    Deno.writeTextFileSync(`${folder}/DEBIAN/conffiles`, "/etc/gregor/gregor.env\n");
    const output = `${ROOT}dist/gregor_${VERSION}_amd64.deb`;
    // What is packed already does not get smaller.
    const command = ["dpkg-deb", "--build", "--root-owner-group", "-Zgzip", "-z1", folder, output];
    const built = await run(command);
    if (built.code !== 0) {
      console.error(`dpkg-deb failed:\n${built.output}`);
      return 1;
    }
    console.log(`${output}  ${(Deno.statSync(output).size / 2 ** 20).toFixed(1)} MiB`);
    return 0;
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

function control(bytes: number): string {
  return `Package: gregor
Version: ${VERSION}
Architecture: amd64
Section: net
Priority: optional
Maintainer: The Gregor authors <gregor@localhost>
Depends: passwd
Installed-Size: ${Math.ceil(bytes / 1024)}
Description: message broker that speaks the Kafka protocol
 One program: the broker and its command line. Kafka clients connect to it
 unchanged. Acknowledged records are on the disk.
`;
}

Deno.exitCode = await main();
