// A runtime for functions, where AWS's own cannot be built: asks the Runtime API for an invocation, calls the handler,
// posts what it returns, and asks for the next.

import { join } from "node:path";
import { pathToFileURL } from "node:url";

type Handler = (event: unknown, context: object) => Promise<unknown>;

const api = `http://${process.env["AWS_LAMBDA_RUNTIME_API"]}/2018-06-01/runtime`;
const [module = "", name = ""] = (process.argv[2] ?? "").split(".");
const file = join(process.env["LAMBDA_TASK_ROOT"] ?? ".", `${module}.mjs`);
const loaded = (await import(pathToFileURL(file).href)) as Record<string, Handler>;

for (;;) {
  const next = await fetch(`${api}/invocation/next`);
  const id = next.headers.get("Lambda-Runtime-Aws-Request-Id");
  const deadlineMs = Number(next.headers.get("Lambda-Runtime-Deadline-Ms"));
  const event: unknown = await next.json();
  const post = async (kind: string, body: unknown): Promise<void> => {
    const sent = await fetch(`${api}/invocation/${id}/${kind}`, {
      method: "POST",
      body: JSON.stringify(body),
    });
    await sent.arrayBuffer();
  };
  try {
    const context = { awsRequestId: id, getRemainingTimeInMillis: () => deadlineMs - Date.now() };
    await post("response", await loaded[name]!(event, context));
  } catch (error) {
    await post("error", { errorMessage: String(error), errorType: (error as Error).name });
  }
}
