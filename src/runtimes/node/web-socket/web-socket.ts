import type { Socket } from "node:net";
import type { TextSocket } from "../../http/index.ts";
import { CloseCode, frame, FrameReader, type Message, Opcode, WebSocketProblem } from "./frames.ts";

export interface WebSocketLimits {
  readonly maxMessageBytes: number;
  /** How often the other side is asked whether it is still there. Silent for twice as long, it is not. */
  readonly pingIntervalMs: number;
  /** How long a goodbye is waited for. */
  readonly closeTimeoutMs: number;
}

export const WEB_SOCKET_LIMITS: Omit<WebSocketLimits, "maxMessageBytes"> = {
  pingIntervalMs: 30_000,
  closeTimeoutMs: 2000,
};

/** Messages that wait to be read before no more are taken from the connection. */
const MAX_WAITING = 16;

const UTF8 = new TextDecoder("utf-8", { fatal: true });

/** The server's end of an open WebSocket that carries texts. */
export class ServerWebSocket implements TextSocket {
  readonly incoming: AsyncIterable<string>;
  readonly #socket: Socket;
  readonly #limits: WebSocketLimits;
  readonly #reader: FrameReader;
  readonly #waiting: string[] = [];
  readonly #pings: NodeJS.Timeout;
  #wakeReader: () => void = () => {};
  #isAlive = true;
  /** We have said goodbye. */
  #isClosing = false;
  /** Nothing more comes. */
  #isOver = false;

  /** @param head what has come with the request to open it. */
  constructor(socket: Socket, head: Buffer, limits: WebSocketLimits) {
    this.#socket = socket;
    this.#limits = limits;
    this.#reader = new FrameReader(limits.maxMessageBytes);
    this.incoming = { [Symbol.asyncIterator]: () => this.#read() };
    this.#pings = setInterval(() => this.#ping(), limits.pingIntervalMs);
    socket.setNoDelay(true);
    socket.setTimeout(0);
    socket.on("data", (chunk: Buffer) => this.#take(chunk));
    socket.on("end", () => socket.destroy());
    socket.on("close", () => this.#ended());
    if (head.length > 0) this.#take(head);
  }

  async send(text: string): Promise<boolean> {
    if (this.#isClosing || this.#socket.destroyed) return false;
    if (!this.#socket.write(frame(Opcode.text, Buffer.from(text)))) await this.#drained();
    return !this.#isClosing && !this.#socket.destroyed;
  }

  close(code: number): void {
    if (this.#isClosing || this.#socket.destroyed) return;
    this.#isClosing = true;
    const payload = Buffer.allocUnsafe(2);
    payload.writeUInt16BE(code);
    this.#socket.write(frame(Opcode.close, payload));
    this.#over();
    const timer = setTimeout(() => this.#socket.destroy(), this.#limits.closeTimeoutMs);
    this.#socket.once("close", () => clearTimeout(timer));
    // The other side's goodbye may be behind what nobody wants to read any more.
    this.#socket.resume();
  }

  async *#read(): AsyncGenerator<string, void, undefined> {
    for (;;) {
      const text = this.#waiting.shift();
      if (text !== undefined) {
        if (this.#waiting.length < MAX_WAITING) this.#socket.resume();
        yield text;
      } else if (this.#isOver) {
        return;
      } else {
        await new Promise<void>((resolve) => (this.#wakeReader = resolve));
      }
    }
  }

  #take(chunk: Buffer): void {
    this.#isAlive = true;
    try {
      for (const message of this.#reader.push(chunk)) this.#obey(message);
    } catch (error) {
      if (!(error instanceof WebSocketProblem)) throw error;
      this.close(error.closeCode);
      // What comes now cannot be told apart any more.
      this.#socket.removeAllListeners("data").resume();
    }
  }

  #obey({ opcode, payload }: Message): void {
    switch (opcode) {
      case Opcode.text:
        if (this.#isClosing) return;
        this.#waiting.push(textOf(payload));
        if (this.#waiting.length >= MAX_WAITING) this.#socket.pause();
        this.#wakeReader();
        return;
      case Opcode.binary:
        throw new WebSocketProblem(CloseCode.unsupported, "only texts are understood");
      case Opcode.ping:
        // Whoever does not read our answers gets no more of them.
        if (!this.#isClosing && this.#socket.writableLength === 0)
          this.#socket.write(frame(Opcode.pong, payload));
        return;
      case Opcode.pong:
        return;
      case Opcode.close:
        this.close(CloseCode.normal);
        this.#socket.end();
        return;
    }
  }

  #ping(): void {
    if (!this.#isAlive) return void this.#socket.destroy();
    // While nothing is taken from it, it cannot show that it lives: the back-pressure is our own.
    this.#isAlive = this.#socket.isPaused();
    if (!this.#isClosing) this.#socket.write(frame(Opcode.ping, Buffer.alloc(0)));
  }

  async #drained(): Promise<void> {
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.#socket.off("drain", done);
        this.#socket.off("close", done);
        resolve();
      };
      this.#socket.once("drain", done);
      this.#socket.once("close", done);
    });
  }

  #ended(): void {
    clearInterval(this.#pings);
    this.#over();
  }

  #over(): void {
    this.#isOver = true;
    this.#wakeReader();
  }
}

function textOf(payload: Buffer): string {
  try {
    return UTF8.decode(payload);
  } catch {
    throw new WebSocketProblem(CloseCode.invalidText, "a text is not UTF-8");
  }
}
