import { GrpcCode } from "../../../core/errors/index.ts";
import type { WriteOptions } from "../../../core/node/index.ts";
import { refuseKey, REPLAYED_FIELD, writeOptions } from "../../http/idempotency.ts";
import type { CallContext } from "./call-context.ts";
import { Deadline } from "./deadline.ts";
import type { CallEvents, Exchange, Metadata } from "./exchange.ts";
import { MessageReader, PREFIX_BYTES } from "./message-reader.ts";
import type { Endpoint } from "./methods.ts";
import { framed } from "./framed.ts";
import { GrpcProblem, OK } from "./status.ts";

const NO_OPTIONS: WriteOptions = {};
/** What an answer may take while it is made, so that one connection does not have all there is read at the same time. */
const READ_BYTES = 1 << 20;
const WRITE_BYTES = 64 << 10;
const REPLAYED: Metadata = { [REPLAYED_FIELD.toLowerCase()]: "true" };

/** A call of one request and one reply. */
export class UnaryCall implements CallEvents {
  readonly #exchange: Exchange;
  readonly #endpoint: Endpoint & { readonly type: "unary" };
  readonly #context: CallContext;
  readonly #certifiedUser: string | null;
  readonly #reader: MessageReader;
  readonly #deadline: Deadline | null;
  #begun = false;
  #over = false;
  /** For a method that waits. */
  #abort: AbortController | null = null;

  constructor(
    exchange: Exchange,
    endpoint: Endpoint & { readonly type: "unary" },
    context: CallContext,
    certifiedUser: string | null,
  ) {
    this.#exchange = exchange;
    this.#endpoint = endpoint;
    this.#context = context;
    this.#certifiedUser = certifiedUser;
    this.#reader = new MessageReader(context.maxMessageBytes, context.budget);
    this.#deadline = Deadline.of(exchange, (problem) => this.#fail(problem));
  }

  received(chunk: Uint8Array): void {
    // What comes after the one request is nobody's.
    if (this.#begun || this.#over) return;
    try {
      for (const message of this.#reader.push(chunk)) {
        this.#begun = true;
        void this.#run(message);
        return;
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  ended(): void {
    if (this.#begun || this.#over) return;
    const problem = this.#reader.isWithin ? "the request breaks off" : "there is no request";
    this.#fail(new GrpcProblem(GrpcCode.unimplemented, `grpc: ${problem}`));
  }

  closed(): void {
    this.#over = true;
    this.#reader.release();
    this.#deadline?.clear();
    this.#abort?.abort();
  }

  async #run(message: Uint8Array): Promise<void> {
    const { decode, encode, method } = this.#endpoint;
    const { methodContext } = this.#context;
    try {
      const actor = methodContext.accounts.engineOf(this.#exchange, this.#certifiedUser);
      const engine = actor instanceof Promise ? await actor : actor;
      const request = decode(message);
      const reserved = reservedFor(method);
      while (!this.#exchange.reserve(reserved)) await this.#exchange.drained();
      if (this.#over) return;
      const reply = await method.call(engine, request, methodContext, this.#options());
      this.#exchange.reserve(0);
      while (!this.#exchange.hasRoom) await this.#exchange.drained();
      if (this.#over) return;
      const metadata = (reply as { readonly replayed?: true }).replayed === true ? REPLAYED : undefined;
      this.#exchange.send(framed(encode(reply, PREFIX_BYTES)), metadata);
      this.#exchange.finish(OK);
    } catch (error) {
      this.#fail(error);
    }
  }

  #options(): WriteOptions {
    const { waits, nameable } = this.#endpoint.method;
    if (nameable === true) return writeOptions(this.#exchange);
    refuseKey(this.#exchange);
    if (waits !== true) return NO_OPTIONS;
    this.#abort = new AbortController();
    return { signal: this.#abort.signal };
  }

  #fail(error: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.#exchange.finish(this.#context.statusOf(error));
  }
}

/** Those who wait for others have nothing yet that takes room. */
function reservedFor({ waits, nameable }: (Endpoint & { readonly type: "unary" })["method"]): number {
  if (waits === true) return 0;
  return nameable === true ? WRITE_BYTES : READ_BYTES;
}
