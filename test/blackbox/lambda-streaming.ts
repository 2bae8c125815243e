// A function that streams, before one node: AWS's aws-lambda-ric writes what the node's watch says as it comes, and the
// stream ends between two events before the invocation's time is up. On a Runtime API of ours, since the emulator gives
// out answers in one piece.
//
// --ric=DIR: where aws-lambda-ric is installed.

import { TOKEN, urlEvent } from "../runtimes/lambda/invocation.ts";
import { deploy } from "./lambda/deploy.ts";
import { ServedFunction } from "./lambda/served-function.ts";
import { cluster, workDir } from "./support/cluster.ts";
import { program } from "./support/program.ts";
import { until } from "./support/waiting.ts";

const TIMEOUT_MS = 15_000;
const HEADERS = { authorization: `Bearer ${TOKEN}` };
const WRITES = 3;

await program("lambda-streaming", 90, async (run) => {
  const dir = await workDir(run);
  const [node] = await cluster(run, dir, 1, { "client-token": TOKEN });
  await node!.start();
  const env = {
    D_ENGINE_ENDPOINTS: node!.url,
    D_ENGINE_CLIENT_TOKEN: TOKEN,
    D_ENGINE_STREAMING: "true",
  };
  const options = await deploy(run, dir, { handler: "index.handler", env, timeoutMs: TIMEOUT_MS });
  const front = await ServedFunction.start(options);
  run.cleanUp(() => front.kill());
  const put = async (key: string, value: string): Promise<void> => {
    const event = urlEvent(`/kv/${key}`, { method: "PUT", body: value, headers: HEADERS });
    const { prelude } = await front.invokeStreaming(event);
    run.require(prelude.statusCode === 200, `a write of ${key} by a function that streams is done`);
  };
  await put("warm", "1");

  // From the first revision on, so that no event comes before the watch.
  const watching = front.invokeStreaming(
    urlEvent("/watch?prefix=w/&rev=1", { headers: { ...HEADERS, accept: "text/event-stream" } }),
  );
  // By the node itself: an environment has one invocation at a time.
  for (let i = 0; i < WRITES; i++) {
    await until(30, "the node to take a write", async () => {
      const request = { method: "PUT", body: `${i}`, headers: HEADERS };
      return (await fetch(`${node!.url}/kv/w/${i}`, request)).ok;
    });
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  const startedMs = performance.now();
  const { prelude, pieces } = await watching;
  const text = pieces.map((piece) => piece.text).join("");
  run.require(prelude.statusCode === 200, "a watch is opened");
  const seen = Array.from({ length: WRITES }, (_, i) =>
    pieces.find((piece) => piece.text.includes(`w/${i}`)),
  );
  run.require(
    seen.every((piece) => piece !== undefined),
    `all ${WRITES} events are in the stream: ${text.slice(0, 300)}`,
  );
  const gapMs = pieces.at(-1)!.afterMs - seen[0]!.afterMs;
  run.require(gapMs > 500, `they left as they came, the first ${Math.round(gapMs)} ms before the last`);
  run.require(text.endsWith("\n\n"), "the stream ended between two events");
  run.observe(`${Math.round(performance.now() - startedMs)} ms after the last write`);
  await put("after", "1");
});
