import type { Hono } from "hono";

export interface Line {
  readonly result?: {
    readonly header: { readonly revision?: string };
    readonly watch_id?: string;
    readonly created?: boolean;
    readonly canceled?: boolean;
    readonly compact_revision?: string;
    readonly cancel_reason?: string;
    readonly fragment?: boolean;
    readonly initial?: boolean;
    readonly events?: readonly {
      readonly type?: string;
      readonly kv: { readonly key: string; readonly value?: string; readonly mod_revision: string };
      readonly prev_kv?: { readonly value?: string };
    }[];
  };
  readonly error?: { readonly grpc_code: number; readonly reason: string };
}

/** A POST to a stream's route: its requests are sent one by one, its lines are read one by one. */
export class StreamClient {
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #response: Promise<Response>;
  #reader: ReadableStreamDefaultReader<string> | null = null;
  #rest = "";

  constructor(app: Hono, path: string = "/v3/watch", headers: Record<string, string> = {}) {
    const body = new TransformStream<Uint8Array, Uint8Array>();
    this.#writer = body.writable.getWriter();
    const init = { method: "POST", body: body.readable, duplex: "half" as const, headers };
    this.#response = Promise.resolve(app.request(path, init));
  }

  send(...requests: readonly object[]): void {
    const text = requests.map((request) => JSON.stringify(request)).join("\n");
    this.#writer.write(new TextEncoder().encode(text)).catch(() => undefined);
  }

  sendText(text: string): void {
    this.#writer.write(new TextEncoder().encode(text)).catch(() => undefined);
  }

  endRequests(): void {
    this.#writer.close().catch(() => undefined);
  }

  get response(): Promise<Response> {
    return this.#response;
  }

  async next(): Promise<Line | null> {
    this.#reader ??= (await this.#response).body!.pipeThrough(new TextDecoderStream()).getReader();
    while (!this.#rest.includes("\n")) {
      const { done, value } = await this.#reader.read();
      if (done) return null;
      this.#rest += value;
    }
    const end = this.#rest.indexOf("\n");
    const line = this.#rest.slice(0, end);
    this.#rest = this.#rest.slice(end + 1);
    return JSON.parse(line) as Line;
  }

  async goAway(): Promise<void> {
    await this.#reader?.cancel();
  }
}
