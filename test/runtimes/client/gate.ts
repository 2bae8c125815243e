import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import type { AddressInfo } from "node:net";

/** A door before a server, which can be shut in the ways that networks and machines have. */
export class Gate {
  readonly #target: number;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  #server: Server | null = null;
  #port = 0;
  #isHung = false;
  /** Connections that came through. */
  passed = 0;

  static async open(target: number): Promise<Gate> {
    const gate = new Gate(target);
    await gate.listen();
    return gate;
  }

  private constructor(target: number) {
    this.#target = target;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Everything goes through; what hung goes on. */
  async listen(): Promise<void> {
    this.#isHung = false;
    for (const pair of this.#pairs) for (const socket of pair) socket.resume();
    if (this.#server !== null) return;
    this.#server = createServer((socket) => this.#take(socket));
    this.#server.listen(this.#port, "127.0.0.1");
    await once(this.#server, "listening");
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  /** Connections stand, and new ones come about, but nothing moves: a machine that was suspended. */
  hang(): void {
    this.#isHung = true;
    for (const pair of this.#pairs) for (const socket of pair) socket.pause();
  }

  /** Connections are cut; new ones come about. */
  cut(): void {
    for (const pair of this.#pairs) for (const socket of pair) socket.resetAndDestroy();
  }

  /** Connections are cut, and new ones refused: a process that was killed. */
  shut(): void {
    this.#server?.close();
    this.#server = null;
    this.cut();
  }

  #take(outer: Socket): void {
    this.passed++;
    const inner = connect(this.#target, "127.0.0.1");
    const pair = [outer, inner] as const;
    this.#pairs.add(pair);
    const pass = (from: Socket, to: Socket): void => {
      from.on("data", (bytes) => {
        if (!to.write(bytes)) from.pause();
      });
      to.on("drain", () => {
        if (!this.#isHung) from.resume();
      });
      from.on("error", () => undefined);
      from.on("close", () => {
        this.#pairs.delete(pair);
        to.destroy();
      });
    };
    pass(outer, inner);
    pass(inner, outer);
    if (this.#isHung) for (const socket of pair) socket.pause();
  }
}
