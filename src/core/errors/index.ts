export { AssertionError, assert, assertNever } from "./assertion-error.ts";
export { EngineError, ERRORS, GrpcCode } from "./engine-error.ts";
export type { ErrorCode, ErrorDetails, RetryableCode } from "./engine-error.ts";
