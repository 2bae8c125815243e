import { Environment } from "./environment.ts";
import type { FunctionOptions } from "./function-host.ts";

/**
 * A function with as many environments as there are invocations at the same time, as Lambda has them: a free one is
 * used again, the one that was used last first, and where there is none another is started.
 */
export class Fleet {
  readonly #options: FunctionOptions;
  readonly #max: number;
  readonly #queue: (() => void)[] = [];
  #environments: Environment[] = [];
  #starting = 0;
  coldStarts = 0;

  constructor(options: FunctionOptions, max: number) {
    this.#options = options;
    this.#max = max;
  }

  get environments(): readonly Environment[] {
    return this.#environments;
  }

  async invoke(event: object): Promise<unknown> {
    const environment = await this.#obtain();
    try {
      return await environment.invoke(event);
    } finally {
      if (environment.isAlive) {
        // The last one comes first.
        this.#environments = [environment, ...this.#environments.filter((other) => other !== environment)];
      } else this.#environments = this.#environments.filter((other) => other !== environment);
      this.#queue.shift()?.();
    }
  }

  /** Another environment, whatever others there are; reserved. */
  async start(): Promise<Environment> {
    this.coldStarts++;
    this.#starting++;
    try {
      const environment = (await Environment.start(this.#options)).reserve();
      this.#environments.push(environment);
      return environment;
    } finally {
      this.#starting--;
    }
  }

  /** Ends them all; the next invocations start cold. */
  async killAll(): Promise<void> {
    const all = this.#environments;
    this.#environments = [];
    await Promise.all(all.map((environment) => environment.kill()));
  }

  async #obtain(): Promise<Environment> {
    for (;;) {
      const free = this.#environments.find(({ isFree }) => isFree);
      if (free !== undefined) return free.reserve();
      if (this.#environments.length + this.#starting < this.#max) return await this.start();
      await new Promise<void>((resolve) => this.#queue.push(resolve));
    }
  }
}
