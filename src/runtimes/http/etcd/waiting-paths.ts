import { METHODS } from "./methods.ts";
import { PREFIXES, streamPaths } from "./stream-call.ts";
import { STREAM_METHODS } from "./stream-methods.ts";

const WAITING: ReadonlySet<string> = new Set([
  ...METHODS.filter(({ waits }) => waits === true).flatMap(({ path }) =>
    PREFIXES.map((prefix) => prefix + path),
  ),
  ...STREAM_METHODS.flatMap(streamPaths),
]);

/** Whether what is POSTed to this path is answered when something happens, not as soon as it can be. */
export function waitsForOthers(path: string): boolean {
  return WAITING.has(path);
}
