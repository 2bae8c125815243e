import { until } from "../support/waiting.ts";

/** A WatchCreateRequest as it goes over the wire. */
export interface WatchSpec {
  readonly key: string;
  readonly range_end?: string;
  readonly start_revision?: string;
  readonly prev_kv?: boolean;
  readonly filters?: readonly ("NOPUT" | "NODELETE")[];
}

/** A change that was made after everything else. */
export interface Mark {
  readonly key: string;
  readonly type: "PUT" | "DELETE";
  readonly revision: number;
}

interface Result {
  readonly header: { readonly revision?: string };
  readonly created?: boolean;
  readonly canceled?: boolean;
  readonly events?: readonly { readonly kv: { readonly mod_revision: string } }[];
}

/** One watch on one server, and everything that it was told, in words that do not depend on how it was cut. */
export class Watched {
  readonly transcript: string[] = [];
  readonly #abort = new AbortController();
  #lastRevision = 0;
  #isOver = false;

  constructor(url: string, spec: WatchSpec) {
    this.#read(url, spec).catch((error: unknown) => {
      if (!this.#abort.signal.aborted) this.transcript.push(`failed: ${String(error)}`);
      this.#isOver = true;
    });
  }

  async created(): Promise<void> {
    await until(10, "a watch to be created", () => Promise.resolve(this.transcript.length > 0));
  }

  /** Waits until it has been told of a change at that revision, or has ended. */
  async toldOf(revision: number): Promise<void> {
    const isTold = (): boolean => this.#isOver || this.#lastRevision >= revision;
    await until(15, `a watch to be told of revision ${revision}`, () => Promise.resolve(isTold()));
  }

  close(): void {
    this.#abort.abort();
  }

  async #read(url: string, spec: WatchSpec): Promise<void> {
    const response = await fetch(`${url}/v3/watch`, {
      method: "POST",
      body: JSON.stringify({ create_request: spec }),
      signal: this.#abort.signal,
    });
    let rest = "";
    for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop()!;
      for (const line of lines) if (line !== "") this.#hear(JSON.parse(line) as { readonly result: Result });
    }
  }

  #hear({ result }: { readonly result: Result }): void {
    const { header, events = [], ...rest } = result;
    for (const event of events) {
      this.transcript.push(JSON.stringify(event));
      this.#lastRevision = Number(event.kv.mod_revision);
    }
    if (events.length > 0) return;
    this.transcript.push(JSON.stringify({ ...rest, at: header.revision }));
    this.#isOver ||= result.canceled === true;
  }
}

/** The revision of the last mark that a watch is told of; null for none. */
export function lastSeen(spec: WatchSpec, marks: readonly Mark[]): number | null {
  // From now on, and nothing comes after the marks.
  if (spec.start_revision === "0") return null;
  const matches = ({ key, type, revision }: Mark): boolean =>
    contains(spec, key) &&
    revision >= Number(spec.start_revision ?? 0) &&
    spec.filters?.includes(type === "PUT" ? "NOPUT" : "NODELETE") !== true;
  return marks.findLast(matches)?.revision ?? null;
}

function contains(spec: WatchSpec, key: string): boolean {
  const [from, to, wanted] = [spec.key, spec.range_end ?? "", key].map((each) => Buffer.from(each, "base64"));
  if (to!.length === 0) return from!.length === 0 ? wanted!.equals(Buffer.alloc(1)) : wanted!.equals(from!);
  const isOpen = to!.length === 1 && to![0] === 0;
  return Buffer.compare(wanted!, from!) >= 0 && (isOpen || Buffer.compare(wanted!, to!) < 0);
}
