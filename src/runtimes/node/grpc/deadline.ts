import { GrpcCode } from "../../../core/errors/index.ts";
import type { Exchange } from "./exchange.ts";
import { GrpcProblem } from "./status.ts";
import { parseTimeoutMs } from "./timeout.ts";

/** The moment after which a client waits for an answer no more (`grpc-timeout`). */
export class Deadline {
  readonly #timer: NodeJS.Timeout;

  private constructor(timer: NodeJS.Timeout) {
    this.#timer = timer;
  }

  /**
   * Null when the client has not said how long it waits.
   *
   * @throws GrpcProblem for a time that is none.
   */
  static of(exchange: Exchange, passed: (problem: GrpcProblem) => void): Deadline | null {
    const value = exchange.get("grpc-timeout");
    if (value === null) return null;
    const timeoutMs = parseTimeoutMs(value);
    if (timeoutMs === null) throw new GrpcProblem(GrpcCode.internal, "grpc: malformed grpc-timeout");
    const timer = setTimeout(() => {
      passed(new GrpcProblem(GrpcCode.deadlineExceeded, "context deadline exceeded"));
    }, timeoutMs);
    return new Deadline(timer);
  }

  clear(): void {
    clearTimeout(this.#timer);
  }
}
