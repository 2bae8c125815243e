import { GrpcCode } from "../../../core/errors/index.ts";
import type { CallContext } from "./call-context.ts";
import { Deadline } from "./deadline.ts";
import type { CallEvents, Exchange } from "./exchange.ts";
import { framed } from "./framed.ts";
import { MessageReader, PREFIX_BYTES } from "./message-reader.ts";
import type { Endpoint } from "./methods.ts";
import { ReceiveBuffer } from "./receive-buffer.ts";
import { GrpcProblem, OK } from "./status.ts";

/** What waits to be looked at; with so much the client is to send no more. */
const MAX_WAITING_BYTES = 16 << 10;

/** A call with a stream of requests, a stream of replies, or both. */
export class StreamCall implements CallEvents {
  readonly #exchange: Exchange;
  readonly #endpoint: Endpoint & { readonly type: "stream" };
  readonly #context: CallContext;
  readonly #certifiedUser: string | null;
  readonly #reader: MessageReader;
  readonly #deadline: Deadline | null;
  readonly #over = new AbortController();
  /** Not cut into messages before they are asked for: a small one takes more room once it is. */
  readonly #waiting: ReceiveBuffer;
  #ended = false;
  #wake = (): void => undefined;

  constructor(
    exchange: Exchange,
    endpoint: Endpoint & { readonly type: "stream" },
    context: CallContext,
    certifiedUser: string | null,
  ) {
    this.#exchange = exchange;
    this.#endpoint = endpoint;
    this.#context = context;
    this.#certifiedUser = certifiedUser;
    this.#reader = new MessageReader(context.maxMessageBytes, context.budget);
    this.#waiting = new ReceiveBuffer(context.budget);
    this.#deadline = Deadline.of(exchange, (problem) => this.#fail(problem));
    void this.#run();
  }

  received(chunk: Uint8Array): void {
    if (this.#ended) return;
    try {
      this.#waiting.append(chunk);
    } catch (error) {
      this.#fail(error);
      return;
    }
    if (this.#waiting.length >= MAX_WAITING_BYTES) this.#exchange.pause();
    this.#wake();
  }

  ended(): void {
    this.#ended = true;
    this.#wake();
  }

  closed(): void {
    this.#deadline?.clear();
    this.#let();
  }

  async #run(): Promise<void> {
    const { method, encode } = this.#endpoint;
    const { signal } = this.#over;
    try {
      const call = { signal, requireLeader: this.#exchange.get("hasleader") === "true" };
      const engine = await this.#context.methodContext.accounts.engineOf(this.#exchange, this.#certifiedUser);
      for await (const reply of method.open(engine, this.#requests(), call)) {
        while (!this.#exchange.hasRoom) await this.#exchange.drained();
        if (signal.aborted) return;
        this.#exchange.send(framed(encode(reply, PREFIX_BYTES)));
      }
      if (!signal.aborted) this.#exchange.finish(OK);
    } catch (error) {
      this.#fail(error);
    }
  }

  async *#requests(): AsyncGenerator<unknown, void, undefined> {
    const { decode } = this.#endpoint;
    for (;;) {
      for (const message of this.#reader.push(this.#waiting.take())) yield decode(message);
      if (this.#waiting.length > 0) continue;
      if (this.#ended) break;
      this.#exchange.resume();
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    if (this.#reader.isWithin && !this.#over.signal.aborted)
      throw new GrpcProblem(GrpcCode.invalidArgument, "grpc: the request breaks off");
  }

  #fail(error: unknown): void {
    if (this.#over.signal.aborted) return;
    this.#exchange.finish(this.#context.statusOf(error));
    this.#let();
  }

  /** Lets go of everything. */
  #let(): void {
    this.#ended = true;
    this.#waiting.release();
    this.#reader.release();
    this.#over.abort();
    this.#wake();
  }
}
