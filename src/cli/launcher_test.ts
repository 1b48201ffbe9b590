import { strict as assert } from "node:assert";

Deno.test("launcherDeath() resolves when the launcher dies, and not before", async () => {
  // A shell starts the watching child and waits for it; what the child says outlives the shell.
  const child = `
    const { launcherDeath } = await import(${JSON.stringify(import.meta.resolve("./launcher.ts"))});
    const died = launcherDeath().then(() => "died");
    const patient = new Promise((resolve) => setTimeout(() => resolve("lives"), 600));
    console.log(await Promise.race([died, patient]));
    setTimeout(() => Deno.exit(3), 20_000);
    console.log(await died);
    Deno.exit(0);`;
  const launcher = new Deno.Command("sh", {
    args: ["-c", '"$0" eval --no-check "$1"; true', Deno.execPath(), child],
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const lines = launcher.stdout.pipeThrough(new TextDecoderStream()).getReader();
  assert.equal((await lines.read()).value, "lives\n");
  launcher.kill("SIGKILL");
  assert.equal((await lines.read()).value, "died\n");
  await lines.cancel();
  await launcher.status;
});
