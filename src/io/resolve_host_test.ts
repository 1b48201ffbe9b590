import { strict as assert } from "node:assert";
import { resolveHost } from "./resolve_host.ts";

Deno.test("resolveHost finds names of this host, and leaves addresses as they are", async () => {
  assert.match((await resolveHost("localhost")) ?? "", /^(127\.0\.0\.1|::1)$/);
  assert.equal(await resolveHost("127.0.0.2"), "127.0.0.2");
  assert.equal(await resolveHost("::1"), "::1");
  assert.equal(await resolveHost("no-such-host.invalid"), null);
});
