// A function's process, for events on its standard input, a line each; answers on its standard output.

import { createInterface } from "node:readline";
import { frontHandler } from "../../../src/runtimes/lambda/index.ts";
import { invoke, type Invocation } from "../../runtimes/lambda/invocation.ts";

const handler = frontHandler(process.env);

for await (const line of createInterface({ input: process.stdin })) {
  const { target, invocation } = JSON.parse(line) as {
    readonly target: string;
    readonly invocation: Invocation;
  };
  process.stdout.write(`${JSON.stringify(await invoke(handler, target, invocation))}\n`);
}
