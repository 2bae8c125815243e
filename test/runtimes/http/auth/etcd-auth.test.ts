import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { AuthSite } from "./auth-site.ts";
import { play } from "./etcd-auth-scenario.ts";

/** What etcd 3.4.23 replied to the same, over its JSON gateway. */
const recorded = JSON.parse(
  readFileSync(new URL("etcd-3.4-auth-replies.json", import.meta.url), "utf8"),
) as readonly object[];

test("refuses and does what a real etcd does, in its words", async () => {
  const site = await AuthSite.start();
  const replies = await play(async (path, body, token) => (await site.ask(path, body, token)).reply);
  expect(replies).toEqual(recorded);
  await site.engine.stop();
});
