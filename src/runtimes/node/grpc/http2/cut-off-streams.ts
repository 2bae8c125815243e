/** Later ones tell that the client has long heard of the earlier. */
const MAX_REMEMBERED = 1000;

/**
 * Streams that were ended from here while the client was still sending: what it sent before it knew is passed over. On
 * all others whoever goes on after the end breaks the rules.
 */
export class CutOffStreams {
  readonly #streams = new Set<number>();
  /** Whatever came up to here may have been one. */
  #forgotten = 0;

  add(stream: number): void {
    this.#streams.add(stream);
    if (this.#streams.size <= MAX_REMEMBERED) return;
    const [oldest = 0] = this.#streams;
    this.#streams.delete(oldest);
    this.#forgotten = Math.max(this.#forgotten, oldest);
  }

  has(stream: number): boolean {
    return stream <= this.#forgotten || this.#streams.has(stream);
  }

  /** The client is done with it as well. */
  delete(stream: number): void {
    this.#streams.delete(stream);
  }
}
