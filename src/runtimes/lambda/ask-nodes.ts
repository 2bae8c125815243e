import { EngineError } from "../../core/errors/index.ts";
import { errorOfReply } from "../client/reply-error.ts";
import { readText } from "../http/body.ts";
import { patienceWith } from "../http/front/patience.ts";
import type { Deadline } from "./deadline.ts";
import { NodeRequests } from "./node-request.ts";
import { NodeRing } from "./node-ring.ts";

/** A client's request, ready to be asked more than once. */
export interface NodeCall {
  readonly request: Request;
  /** Path and query, as they came. */
  readonly target: string;
  readonly body: Uint8Array | null;
  readonly deadline: Deadline;
}

/** How long a node has for what it can do at once: its own patience, by default. */
const REQUEST_MS = 10_000;
/** The body of an error. */
const MAX_ERROR_BYTES = 64 << 10;

interface Refusal {
  readonly response: Response;
  readonly error: EngineError;
}

/** The nodes behind a function. They see a request as it came, with the client's own token. */
export class Nodes {
  readonly #requests: NodeRequests = new NodeRequests();
  readonly #ring: NodeRing;

  constructor(endpoints: readonly string[]) {
    this.#ring = new NodeRing(endpoints, (endpoint, signal) => this.#leads(endpoint, signal));
  }

  /**
   * Asks one node after the other until one has an answer. Whoever has certainly done nothing is passed over; one that
   * broke off, or has not answered in time, only where nothing can be done twice: for reads, and for writes with a
   * name. What comes of it is the nodes' own answer, or an error of theirs, where there was one.
   *
   * @throws EngineError `unreachable`: nothing was sent. `unhealthy`: no node answers a read. `connectionLost` and
   * `timeout`: a write may have happened.
   */
  async ask(call: NodeCall): Promise<Response> {
    const { request, target, deadline } = call;
    const patience = patienceWith(request, `http://node${target}`, REQUEST_MS);
    const order = await this.#ring.inOrder(deadline.leftMs() / 4);
    let refusal: Refusal | null = null;
    let problem: EngineError | null = null;
    let maybeDone = false;
    // The first once more: what a read met there may have been a connection that had died unnoticed.
    for (const endpoint of patience.repeatable ? [...order, order[0]!] : order) {
      if (deadline.leftMs() === 0) break;
      try {
        const response = await this.#send(endpoint, call, Math.min(patience.answerMs, deadline.leftMs()));
        const error = await refusalOf(response);
        this.#ring.answered(endpoint, error?.leaderUrls);
        if (error === null) return response;
        maybeDone ||= error.maybeApplied;
        if (!error.retryable || (error.maybeApplied && !patience.repeatable)) return response;
        refusal = { response, error };
      } catch (error) {
        if (!(error instanceof EngineError)) throw error;
        this.#ring.failed(endpoint);
        if (error.maybeApplied && !patience.repeatable) throw error;
        maybeDone ||= error.maybeApplied;
        problem = error;
      }
    }
    // Of a write that may have been done, the end says so, whatever the last node said.
    if (refusal !== null && (patience.read || !maybeDone || refusal.error.maybeApplied))
      return refusal.response;
    throw noAnswer(problem ?? refusal?.error, patience.read, maybeDone);
  }

  async #send(
    endpoint: string,
    { request, target, body, deadline }: NodeCall,
    answerMs: number,
  ): Promise<Response> {
    const aborter = new AbortController();
    const timer = setTimeout(() => aborter.abort(new Error("no answer in time")), answerMs);
    try {
      const { method, headers } = request;
      const limits = { signal: aborter.signal, replyMs: deadline.leftMs() };
      return await this.#requests.send(endpoint + target, { method, headers, body, ...limits });
    } finally {
      clearTimeout(timer);
    }
  }

  /** Open to everyone, and false at once on all but the leader. */
  async #leads(endpoint: string, signal: AbortSignal): Promise<boolean> {
    try {
      const outgoing = { method: "GET", headers: new Headers(), body: null, signal, replyMs: 1000 };
      const response = await this.#requests.send(`${endpoint}/health?leader=1`, outgoing);
      await response.arrayBuffer();
      return response.status === 200;
    } catch {
      return false;
    }
  }
}

/** What nobody answered. The rule: what certainly did not happen is never code 14, and what may have is always. */
function noAnswer(problem: EngineError | undefined, isRead: boolean, maybeDone: boolean): EngineError {
  const detail = problem?.detail ?? "the invocation's time is up";
  const facts = { retryAfterMs: 1000, cause: problem };
  if (isRead) return new EngineError("unhealthy", { ...facts, detail: `no node answers: ${detail}` });
  return new EngineError(maybeDone ? "connectionLost" : "unreachable", { ...facts, detail });
}

/** What a reply refuses; its body can still be read. Null: it is an answer. */
async function refusalOf(response: Response): Promise<EngineError | null> {
  if (response.status < 400 || response.status === 404 || response.status === 412) return null;
  const text = await readText(response.clone(), MAX_ERROR_BYTES).catch(() => "");
  return errorOfReply(response.status, response.headers, text);
}
