// The Worker as it is deployed, with objects that say what reaches them and that can be harmed.

import { RaftObject as Deployed, routeRequest } from "../../../src/runtimes/workers/index.ts";

/** Timers that are set: as long as there is one, an object stays in memory. */
const timers = new Set<unknown>();
const { setTimeout: realSetTimeout, clearTimeout: realClearTimeout } = globalThis;
Object.assign(globalThis, {
  setTimeout: (callback: () => void, delayMs: number): unknown => {
    const timer = realSetTimeout(() => {
      timers.delete(timer);
      callback();
    }, delayMs);
    timers.add(timer);
    return timer;
  },
  clearTimeout: (timer: ReturnType<typeof setTimeout>): void => {
    timers.delete(timer);
    realClearTimeout(timer);
  },
});

interface State {
  readonly storage: {
    deleteAll(): Promise<void>;
    deleteAlarm(): Promise<void>;
    getAlarm(): Promise<number | null>;
    setAlarm(atMs: number): Promise<void>;
  };
  abort(reason?: string): void;
}

export class RaftObject extends Deployed {
  readonly #state: State;
  /** Every request takes as much longer. */
  #delayMs = 0;

  constructor(...[state, env]: ConstructorParameters<typeof Deployed>) {
    super(state, env);
    this.#state = state as unknown as State;
    console.log("@made");
  }

  override async fetch(request: Request): Promise<Response> {
    const harm = request.headers.get("X-Harm");
    if (harm === "metrics") return await super.fetch(new Request("https://object/metrics", request));
    if (harm !== null) return await this.#harmed(harm);
    console.log(`@fetch ${request.headers.get("X-D-Engine-Object")} ${new URL(request.url).pathname}`);
    if (this.#delayMs > 0) await new Promise((resolve) => setTimeout(resolve, this.#delayMs));
    return await super.fetch(request);
  }

  override async alarm(): Promise<void> {
    console.log("@alarm");
    await super.alarm();
  }

  async #harmed(harm: string): Promise<Response> {
    const [what, value] = harm.split("=");
    if (what === "delay") this.#delayMs = Number(value);
    if (what === "timers") return Response.json(timers.size);
    if (what === "ring") await this.#state.storage.setAlarm(Date.now() + Number(value));
    if (what === "alarm") return Response.json(await this.#state.storage.getAlarm());
    if (what === "lose") {
      await this.#state.storage.deleteAlarm();
      await this.#state.storage.deleteAll();
    }
    if (what === "abort" || what === "lose") this.#state.abort(what);
    return new Response(null, { status: 204 });
  }
}

interface Env {
  readonly RAFT: {
    idFromName(name: string): unknown;
    get(id: unknown): { fetch(url: string, init: RequestInit): Promise<Response> };
  };
}

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const target = request.headers.get("X-Harm-Object");
    if (target === null) return await routeRequest(request, env);
    const headers = {
      "X-Harm": request.headers.get("X-Harm")!,
      "X-D-Engine-Object": target,
      Authorization: request.headers.get("Authorization") ?? "",
    };
    return await env.RAFT.get(env.RAFT.idFromName(target)).fetch("https://object/", { headers });
  },
};
