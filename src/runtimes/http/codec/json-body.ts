import { EngineError } from "../../../core/errors/index.ts";
import { FieldProblem } from "./field-problem.ts";
import type { JsonDecoder } from "./json-decode.ts";

/**
 * Reads a request body. Nothing at all means an empty message, as in etcd's gateway.
 *
 * @param root names the message in complaints: `txn` in `txn.success[3].request_put.key: not base64`.
 */
export function decodeJsonBody<T>(body: string, decode: JsonDecoder<T>, root: string): T {
  const json = body === "" ? {} : parse(body, root);
  try {
    return decode(json);
  } catch (error) {
    if (!(error instanceof FieldProblem)) throw error;
    if (!error.rounded) throw complaint(error, root);
  }
  // Some 64-bit id came as a bare number, which JSON.parse rounds. Rare, so only now is the slow way taken.
  try {
    return decode(parseKeepingIntegers(body));
  } catch (error) {
    throw error instanceof FieldProblem ? complaint(error, root) : error;
  }
}

function parse(body: string, root: string): unknown {
  try {
    return JSON.parse(body);
  } catch (error) {
    throw new EngineError("invalidArgument", {
      detail: `${root}: the body is not JSON: ${error instanceof Error ? error.message : "unreadable"}`,
    });
  }
}

function complaint(problem: FieldProblem, root: string): EngineError {
  const detail = problem.inside(root).toString();
  return new EngineError(problem.code ?? "invalidArgument", { detail });
}

/** What JSON.parse tells a reviver about a primitive (ES2026, "JSON.parse source text access"). */
interface ReviverContext {
  readonly source?: string;
}

/** Parses with integers beyond 2^53 left as the strings they were written as, where the runtime can. */
function parseKeepingIntegers(body: string): unknown {
  const reviver = (_key: string, value: unknown, context?: ReviverContext): unknown =>
    typeof value === "number" &&
    !Number.isSafeInteger(value) &&
    context?.source !== undefined &&
    /^-?[0-9]+$/.test(context.source)
      ? context.source
      : value;
  return JSON.parse(body, reviver);
}
