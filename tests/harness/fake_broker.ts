/**
 * Stands in for the broker where the harness itself is tested: says it is ready (or, as told by the
 * environment, does not), serves nothing, ends at SIGTERM (or does not).
 *
 * @module
 */

const mode = Deno.env.get("FAKE_MODE") ?? "serve";
const cores = Deno.args.find((arg) => arg.startsWith("--cores="))?.slice("--cores=".length) ?? "1";

console.error(`fake ${mode} ${Deno.args.join(" ")}`);
if (mode === "fail") Deno.exit(71);
Deno.addSignalListener("SIGTERM", () => {
  if (mode !== "stubborn") Deno.exit(0);
});
if (mode !== "silent") {
  console.log(`ready kafka=127.0.0.1:19 rpc=none admin=127.0.0.1:23 node=0 cores=${cores}`);
}
setInterval(() => {}, 60_000);
