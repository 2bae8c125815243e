import { GrpcCode } from "../../../core/errors/index.ts";
import type { CallEvents } from "./exchange.ts";
import { framed } from "./framed.ts";
import type { Incoming } from "./incoming.ts";
import { PREFIX_BYTES } from "./message-reader.ts";
import type { StreamEndpoint } from "./methods.ts";
import { ReceiveBuffer } from "./receive-buffer.ts";
import { GrpcProblem, OK } from "./status.ts";

/** What waits to be looked at; with so much the client is to send no more. */
const MAX_WAITING_BYTES = 16 << 10;

/** A call with a stream of requests, a stream of replies, or both. */
export class StreamCall implements CallEvents {
  readonly #call: Incoming<StreamEndpoint>;
  readonly #over = new AbortController();
  /** Not cut into messages before they are asked for: a small one takes more room once it is. */
  readonly #waiting: ReceiveBuffer;
  #ended = false;
  #wake = (): void => undefined;

  /** @throws GrpcProblem */
  constructor(call: Incoming<StreamEndpoint>) {
    this.#call = call;
    this.#waiting = new ReceiveBuffer(call.context.budget);
    call.begin((problem) => this.#fail(problem));
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
    if (this.#waiting.length >= MAX_WAITING_BYTES) this.#call.exchange.pause();
    this.#wake();
  }

  ended(): void {
    this.#ended = true;
    this.#wake();
  }

  closed(): void {
    this.#let();
  }

  async #run(): Promise<void> {
    const { exchange, endpoint } = this.#call;
    const { method, encode } = endpoint;
    const { signal } = this.#over;
    try {
      const call = { signal, requireLeader: exchange.get("hasleader") === "true" };
      const engine = await this.#call.engine();
      for await (const reply of method.open(engine, this.#requests(), call)) {
        while (!exchange.hasRoom) await exchange.drained();
        if (signal.aborted) return;
        exchange.send(framed(encode(reply, PREFIX_BYTES)));
      }
      if (!signal.aborted) exchange.finish(OK);
    } catch (error) {
      this.#fail(error);
    }
  }

  async *#requests(): AsyncGenerator<unknown, void, undefined> {
    const { exchange, endpoint, reader } = this.#call;
    for (;;) {
      for (const message of reader.push(this.#waiting.take())) yield endpoint.decode(message);
      if (this.#waiting.length > 0) continue;
      if (this.#ended) break;
      exchange.resume();
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    if (reader.isWithin && !this.#over.signal.aborted)
      throw new GrpcProblem(GrpcCode.invalidArgument, "grpc: the request breaks off");
  }

  #fail(error: unknown): void {
    if (this.#over.signal.aborted) return;
    this.#call.refuse(error);
    this.#let();
  }

  /** Lets go of everything. */
  #let(): void {
    this.#ended = true;
    this.#waiting.release();
    this.#call.release();
    this.#over.abort();
    this.#wake();
  }
}
