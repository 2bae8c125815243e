// A function before one node whose log is in a store: it is frozen between invocations, its node is killed and started
// anew meanwhile, snapshots are taken and the log is trimmed under it. Every acknowledged write is seen by the eventual
// reads that ask for its revision, also while the node is down.
//
// --storage=URL: a store that is there. --server=NAME: versitygw, minio or fake-gcs-server, started here. --ric=DIR,
// --emulator=FILE: AWS's aws-lambda-ric and Runtime Interface Emulator; without them small ones of ours.

import { type Answer, answerOf, type Invocation, TOKEN, urlEvent } from "../runtimes/lambda/invocation.ts";
import { deploy } from "./lambda/deploy.ts";
import { Environment } from "./lambda/environment.ts";
import { storageUrl } from "./storage-takeover/storage-url.ts";
import { cluster, workDir } from "./support/cluster.ts";
import { program } from "./support/program.ts";
import { sleep, until } from "./support/waiting.ts";

/** Past the five seconds after which a server hangs up on whoever is silent. */
const FREEZE_MS = 7000;
const WRITES = 120;
const TIMEOUT_MS = 10_000;
const AUTHORIZED = { authorization: `Bearer ${TOKEN}` };

await program("lambda-front", 120, async (run) => {
  const storage = await storageUrl(run);
  const dir = await workDir(run);
  const [node] = await cluster(run, dir, 1, {
    storage,
    "client-token": TOKEN,
    "snapshot-count": "40",
    "heartbeat-interval": "50",
    "election-timeout": "300",
  });
  await node!.start();
  const env = {
    D_ENGINE_ENDPOINTS: node!.url,
    D_ENGINE_CLIENT_TOKEN: TOKEN,
    D_ENGINE_STORAGE: storage,
    D_ENGINE_MAX_AGE: "0",
    ETCD_NAME: node!.name,
    AWS_REGION: "us-east-1",
  };
  const front = await Environment.start(
    await deploy(run, dir, { handler: "index.handler", env, timeoutMs: TIMEOUT_MS }),
  );
  run.cleanUp(() => front.kill());
  const invoke = async (target: string, invocation: Invocation = {}): Promise<Answer> => {
    const event = urlEvent(target, { headers: AUTHORIZED, ...invocation });
    const answer = answerOf(await front.invoke(event));
    await until(10, "the function to be frozen", async () => front.isFrozen);
    return answer;
  };
  let revision = 0;
  let written = 0;
  const put = async (): Promise<number> => {
    const request = { method: "PUT", body: `${written}`, headers: AUTHORIZED };
    const { status, text } = await invoke(`/kv/k${String(written).padStart(4, "0")}`, request);
    if (status === 200) {
      ({ revision } = JSON.parse(text) as { readonly revision: number });
      written++;
    }
    return status;
  };
  const seen = async (): Promise<number> => {
    const { status, text } = await invoke(`/kv/?consistency=eventual&limit=1000&min_revision=${revision}`);
    return status === 200 ? (JSON.parse(text) as { readonly kvs: readonly object[] }).kvs.length : -status;
  };

  for (let i = 0; i < WRITES; i++) {
    const status = await put();
    if (status !== 200) run.require(false, `write ${i} is done, and not answered with ${status}`);
    if (i % 10 === 0) run.require((await seen()) === written, `all ${written} writes are seen in the store`);
  }
  run.observe(`${written} writes, each after a freeze`);

  await node!.signal("SIGKILL");
  await node!.start();
  await sleep(FREEZE_MS);
  run.require(
    (await put()) === 200,
    "the first write after a long freeze, to a node that was replaced, is done",
  );
  run.require((await seen()) === written, "and seen");

  await node!.signal("SIGKILL");
  run.require((await seen()) === written, "all acknowledged writes are seen while the node is down");
  const [read, write] = [await invoke("/kv/k0000"), await put()];
  run.require(read.status === 503, "a linearizable read says that nobody answers");
  run.require(write === 400, "a write says that it was not done");
  await sleep(FREEZE_MS);
  run.require((await seen()) === written, "they are seen after a long freeze as well");

  await node!.start();
  run.require((await put()) === 200, "with the node back, writes go on");
  run.require((await seen()) === written, "and are seen");
});
