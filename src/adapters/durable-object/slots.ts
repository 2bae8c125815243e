/** The slots of a table: numbers from 1, without a gap since rows are never deleted. What is free is used again. */
export class Slots {
  readonly #free: number[];
  #count: number;

  /**
   * @param count slots that there are.
   * @param isUsed which of them hold something that is needed.
   */
  constructor(count: number, isUsed: (slot: number) => boolean) {
    this.#count = count;
    this.#free = [];
    for (let slot = count; slot > 0; slot--) if (!isUsed(slot)) this.#free.push(slot);
  }

  take(): number {
    return this.#free.pop() ?? ++this.#count;
  }

  release(slots: readonly number[]): void {
    this.#free.push(...slots);
  }
}
