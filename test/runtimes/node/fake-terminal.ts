import type { Terminal } from "../../../src/runtimes/node/cli/terminal.ts";

/** Keeps what a command prints. */
export class FakeTerminal implements Terminal {
  readonly env: Record<string, string | undefined>;
  readonly #input: Uint8Array;
  readonly #chunks: Uint8Array[] = [];
  errors = "";
  isWatched = false;
  asksPeople = false;
  /** What is typed when a secret is asked for, in turn. */
  readonly secrets: string[] = [];
  readonly interruption = new AbortController();

  constructor(env: Record<string, string | undefined> = {}, input: Uint8Array = new Uint8Array(0)) {
    this.env = env;
    this.#input = input;
  }

  get bytes(): Uint8Array {
    return Buffer.concat(this.#chunks);
  }

  get output(): string {
    return new TextDecoder().decode(this.bytes);
  }

  out(text: string | Uint8Array): void {
    this.#chunks.push(typeof text === "string" ? new TextEncoder().encode(text) : text);
  }

  error(text: string): void {
    this.errors += text;
  }

  readSecret(prompt: string): Promise<string> {
    this.errors += prompt;
    return Promise.resolve(this.secrets.shift() ?? "");
  }

  interrupted(): AbortSignal {
    return this.interruption.signal;
  }

  async *inputLines(): AsyncGenerator<string, void, undefined> {
    yield* new TextDecoder().decode(this.#input).split(/\r?\n/);
  }

  readInput(): Promise<Uint8Array> {
    return Promise.resolve(this.#input);
  }
}
