import type { Clock } from "../../../src/core/node/index.ts";
import type { Fetch } from "../../../src/runtimes/client/index.ts";

/** What befalls one request. */
export type Fate =
  | { readonly type: "well" }
  | { readonly type: "refused" | "lost" | "unavailable" }
  /** The reply breaks off within a piece, after so many others, or ends there as if it were complete. */
  | { readonly type: "cut"; readonly pieces: number; readonly part: number; readonly clean: boolean };

/** Carries requests to where `to` takes them, if their fates allow it. Without more fates, all goes well. */
export function flakyFetch(to: Fetch, fates: Iterator<Fate>): Fetch {
  return async (url, init) => {
    const next = fates.next();
    const fate: Fate = next.done === true ? { type: "well" } : next.value;
    switch (fate.type) {
      case "refused":
        throw new TypeError("fetch failed", {
          cause: Object.assign(new Error("no"), { code: "ECONNREFUSED" }),
        });
      case "unavailable": {
        const message = "etcdserver: no leader";
        return new Response(JSON.stringify({ message, code: 14, reason: "noLeader" }), { status: 503 });
      }
      case "lost":
        await (await to(url, init)).body?.cancel();
        throw new TypeError("Failed to fetch");
      case "cut":
        return cut(await to(url, init), fate);
      case "well":
        return await to(url, init);
    }
  };
}

function cut(response: Response, { pieces, part, clean }: Extract<Fate, { readonly type: "cut" }>): Response {
  const reader = response.body!.getReader();
  let left = pieces;
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { done, value } = await reader.read();
        if (done) return controller.close();
        if (left-- > 0) return controller.enqueue(value);
        // A turn later: what breaks off at once takes what was sent before with it.
        controller.enqueue(value.subarray(0, Math.ceil(value.length * part)));
        await new Promise((resolve) => setImmediate(resolve));
        await reader.cancel();
        if (clean) controller.close();
        else controller.error(new TypeError("terminated"));
      },
      cancel: () => reader.cancel(),
    },
    { highWaterMark: 0 },
  );
  return new Response(body, { status: response.status, headers: response.headers });
}

/** Time that is a hundred times as quick, so that waiting is over before it hurts. */
export const hastyClock: Clock = {
  nowMs: () => performance.now() * 100,
  wallMs: () => Date.now(),
  setTimer(delayMs, callback) {
    const timer = setTimeout(callback, delayMs / 100);
    return () => clearTimeout(timer);
  },
};
