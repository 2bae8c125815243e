import { GrpcCode } from "../../../core/errors/index.ts";
import type { WriteOptions } from "../../../core/node/index.ts";
import { refuseKey, REPLAYED_FIELD, writeOptions } from "../../http/idempotency.ts";
import type { CallEvents, Metadata } from "./exchange.ts";
import type { Incoming } from "./incoming.ts";
import { PREFIX_BYTES } from "./message-reader.ts";
import type { UnaryEndpoint } from "./methods.ts";
import { framed } from "./framed.ts";
import { GrpcProblem, OK } from "./status.ts";

const NO_OPTIONS: WriteOptions = {};
/** What an answer may take while it is made, so that one connection does not have all there is read at the same time. */
const READ_BYTES = 1 << 20;
const WRITE_BYTES = 64 << 10;
const REPLAYED: Metadata = { [REPLAYED_FIELD.toLowerCase()]: "true" };

/** A call of one request and one reply. */
export class UnaryCall implements CallEvents {
  readonly #call: Incoming<UnaryEndpoint>;
  #begun = false;
  #over = false;
  /** For a method that waits. */
  #abort: AbortController | null = null;

  /** @throws GrpcProblem */
  constructor(call: Incoming<UnaryEndpoint>) {
    this.#call = call;
    call.begin((problem) => this.#fail(problem));
  }

  received(chunk: Uint8Array): void {
    // What comes after the one request is nobody's.
    if (this.#begun || this.#over) return;
    try {
      for (const message of this.#call.reader.push(chunk)) {
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
    const problem = this.#call.reader.isWithin ? "the request breaks off" : "there is no request";
    this.#fail(new GrpcProblem(GrpcCode.unimplemented, `grpc: ${problem}`));
  }

  closed(): void {
    this.#over = true;
    this.#call.release();
    this.#abort?.abort();
  }

  async #run(message: Uint8Array): Promise<void> {
    const { exchange, endpoint, context } = this.#call;
    const { decode, encode, method } = endpoint;
    try {
      const actor = this.#call.engine();
      const engine = actor instanceof Promise ? await actor : actor;
      const request = decode(message);
      const reserved = reservedFor(method);
      while (!exchange.reserve(reserved)) await exchange.drained();
      if (this.#over) return;
      const reply = await method.call(engine, request, context.methodContext, this.#options());
      exchange.reserve(0);
      while (!exchange.hasRoom) await exchange.drained();
      if (this.#over) return;
      const metadata = (reply as { readonly replayed?: true }).replayed === true ? REPLAYED : undefined;
      exchange.send(framed(encode(reply, PREFIX_BYTES)), metadata);
      exchange.finish(OK);
    } catch (error) {
      this.#fail(error);
    }
  }

  #options(): WriteOptions {
    const { exchange, endpoint } = this.#call;
    const { waits, nameable } = endpoint.method;
    if (nameable === true) return writeOptions(exchange);
    refuseKey(exchange);
    if (waits !== true) return NO_OPTIONS;
    this.#abort = new AbortController();
    return { signal: this.#abort.signal };
  }

  #fail(error: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.#call.refuse(error);
  }
}

/** Those who wait for others have nothing yet that takes room. */
function reservedFor({ waits, nameable }: UnaryEndpoint["method"]): number {
  if (waits === true) return 0;
  return nameable === true ? WRITE_BYTES : READ_BYTES;
}
