import type { Engine } from "../../../core/node/index.ts";
import type { CallContext } from "./call-context.ts";
import { Deadline } from "./deadline.ts";
import type { Exchange } from "./exchange.ts";
import { MessageReader } from "./message-reader.ts";
import type { Endpoint } from "./methods.ts";
import type { GrpcProblem } from "./status.ts";

/** What a call comes with, whatever its kind. */
export class Incoming<E extends Endpoint = Endpoint> {
  readonly exchange: Exchange;
  readonly endpoint: E;
  readonly context: CallContext;
  readonly reader: MessageReader;
  readonly #certifiedUser: string | null;
  #deadline: Deadline | null = null;

  constructor(exchange: Exchange, endpoint: E, context: CallContext, certifiedUser: string | null) {
    this.exchange = exchange;
    this.endpoint = endpoint;
    this.context = context;
    this.reader = new MessageReader(context.maxMessageBytes, context.budget);
    this.#certifiedUser = certifiedUser;
  }

  /** Minds how long the client waits. @throws GrpcProblem for a time that is none. */
  begin(passed: (problem: GrpcProblem) => void): void {
    this.#deadline = Deadline.of(this.exchange, passed);
  }

  /** The engine for whoever calls. @throws EngineError as `Accounts.engineOf`. */
  engine(): Engine | Promise<Engine> {
    return this.context.methodContext.accounts.engineOf(this.exchange, this.#certifiedUser);
  }

  /** Answers with what went wrong. */
  refuse(error: unknown): void {
    this.exchange.finish(this.context.statusOf(error));
  }

  /** It is over. */
  release(): void {
    this.reader.release();
    this.#deadline?.clear();
  }
}
