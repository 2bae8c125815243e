export interface ScheduledEvent {
  readonly atMs: number;
  readonly sequence: number;
  readonly run: () => void;
  canceled: boolean;
}

/** Events in order of time, and at one time in the order in which they were added. */
export class EventHeap {
  readonly #heap: ScheduledEvent[] = [];
  #sequence = 0;

  add(atMs: number, run: () => void): ScheduledEvent {
    const event: ScheduledEvent = { atMs, sequence: ++this.#sequence, run, canceled: false };
    const heap = this.#heap;
    let at = heap.push(event) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(event, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = event;
    return event;
  }

  nextAtMs(): number | undefined {
    while (this.#heap[0]?.canceled === true) this.#removeFirst();
    return this.#heap[0]?.atMs;
  }

  next(): ScheduledEvent | undefined {
    return this.nextAtMs() === undefined ? undefined : this.#removeFirst();
  }

  #removeFirst(): ScheduledEvent {
    const heap = this.#heap;
    const first = heap[0]!;
    const last = heap.pop()!;
    if (heap.length === 0) return first;
    let at = 0;
    for (let child = 1; child < heap.length; child = 2 * at + 1) {
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!isBefore(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

function isBefore(a: ScheduledEvent, b: ScheduledEvent): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.sequence < b.sequence);
}
