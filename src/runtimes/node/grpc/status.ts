import { EngineError, GrpcCode } from "../../../core/errors/index.ts";
import type { Logger } from "../../../core/node/index.ts";

/** How a call ended. */
export interface GrpcStatus {
  /** 0 for success, else one of GrpcCode. */
  readonly code: GrpcCode | 0;
  readonly message: string;
}

export const OK: GrpcStatus = { code: 0, message: "" };

/** A refusal by the protocol itself, which no method has seen. */
export class GrpcProblem extends Error {
  override readonly name = "GrpcProblem";
  readonly code: GrpcCode;

  constructor(code: GrpcCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** What the client is told of whatever was thrown; what is neither of these errors is logged and told to nobody. */
export function statusOf(error: unknown, logger: Logger): GrpcStatus {
  if (error instanceof EngineError) return { code: error.grpcCode, message: error.message };
  if (error instanceof GrpcProblem) return { code: error.code, message: error.message };
  logger.log("error", "a gRPC call failed unexpectedly", { error });
  return { code: GrpcCode.internal, message: "d-engine: internal error" };
}

/** `grpc-message`: UTF-8, with everything but printable ASCII percent-encoded, and the percent sign too. */
export function encodeMessage(message: string): string {
  if (/^[ -$&-~]*$/.test(message)) return message;
  let encoded = "";
  for (const byte of new TextEncoder().encode(message)) {
    const isPlain = byte >= 0x20 && byte <= 0x7e && byte !== 0x25;
    encoded += isPlain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return encoded;
}
