/**
 * Those who want to be told. A listener that throws does not keep the others from hearing. Who begins to listen while
 * the others are told hears the next time, and who stops hears nothing more.
 */
export class Listeners<T> {
  readonly #listeners: Set<(value: T) => void> = new Set();

  /** @returns the way to stop listening. */
  add(listener: (value: T) => void): () => void {
    // A wrapper of its own, so that the same function added twice is called, and removed, twice.
    const entry = (value: T): void => listener(value);
    this.#listeners.add(entry);
    return () => {
      this.#listeners.delete(entry);
    };
  }

  emit(value: T): void {
    const errors: unknown[] = [];
    // Of a set that grows while it is walked there is no end: a listener may go, and come again.
    const present = [...this.#listeners];
    for (const listener of present) {
      if (!this.#listeners.has(listener)) continue;
      try {
        listener(value);
      } catch (error) {
        errors.push(error);
      }
    }
    // The listener's own mistake: reported where uncaught errors go, not to whoever made the change.
    if (errors.length > 0)
      queueMicrotask(() => {
        throw errors[0];
      });
  }
}
