/**
 * A broken invariant. It means that this process can no longer trust its own state: the node that throws it
 * stops, and nothing may catch it to carry on. Bad input and failing disks are {@link EngineError}s instead.
 */
export class AssertionError extends Error {
  override readonly name = "AssertionError";
}

/** Throws {@link AssertionError} unless `condition` holds. Stays on in production. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/** For the `default` of an exhaustive switch: the compiler proves that it is unreachable, this keeps it so. */
export function assertNever(value: never, what: string): never {
  throw new AssertionError(`unexpected ${what}: ${JSON.stringify(value)}`);
}
