// A process as Lambda starts one: loads the bundled function, answers a first event, and then more of them.
//
//     node bench/lambda/invoked.ts FILE TARGET ROUNDS

import { pathToFileURL } from "node:url";
import type { LambdaHandler } from "../../src/runtimes/lambda/index.ts";

/** What the process tells of itself, in milliseconds. */
export interface Told {
  /** To load the file. */
  readonly loadMs: number;
  /** From there to the first answer. */
  readonly firstMs: number;
  /** Each further answer, one after the other. */
  readonly roundsMs: readonly number[];
}

type Buffered = (event: object, context: object) => Promise<{ readonly statusCode: number }>;

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [file = "", target = "", rounds = "0"] = process.argv.slice(2);
  const [rawPath = "", rawQueryString = ""] = target.split("?");
  const event = {
    version: "2.0",
    rawPath,
    rawQueryString,
    headers: { host: "h", authorization: `Bearer ${process.env["D_ENGINE_CLIENT_TOKEN"]}` },
    requestContext: { domainName: "h", http: { method: "GET" } },
    isBase64Encoded: false,
  };
  const context = { getRemainingTimeInMillis: () => 30_000 };
  const began = performance.now();
  const { handler } = (await import(pathToFileURL(file).href)) as { readonly handler: LambdaHandler };
  const loaded = performance.now();
  const ask = async (): Promise<void> => {
    const { statusCode } = await (handler as Buffered)(event, context);
    if (statusCode !== 200) throw new Error(`status ${statusCode}`);
  };
  await ask();
  const answered = performance.now();
  const roundsMs: number[] = [];
  for (let i = 0; i < Number(rounds); i++) {
    const start = performance.now();
    await ask();
    roundsMs.push(performance.now() - start);
  }
  const told: Told = { loadMs: loaded - began, firstMs: answered - loaded, roundsMs };
  process.stdout.write(JSON.stringify(told), () => process.exit(0));
}
