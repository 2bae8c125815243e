import type { Engine, WatchResponse, WatchStream } from "../../../core/node/index.ts";
import type { StreamCall } from "./stream-methods.ts";
import type { WatchRequest } from "./watch-messages.ts";

/**
 * etcd's Watch: requests are obeyed as they come, and replies are made when they can be taken. The end of the requests
 * does not end the watches.
 */
export async function* watch(
  engine: Engine,
  requests: AsyncIterable<WatchRequest>,
  { signal, requireLeader }: StreamCall,
): AsyncGenerator<WatchResponse, void, undefined> {
  const stream = engine.watch({ signal, requireLeader });
  const obeyed = obeyAll(stream, requests);
  // What was wrong with a request ends the watches, and is for whoever sent it to know.
  obeyed.catch(() => stream.close());
  yield* stream;
  await obeyed;
}

async function obeyAll(stream: WatchStream, requests: AsyncIterable<WatchRequest>): Promise<void> {
  for await (const request of requests) {
    // Who does not read the answers may not ask for more.
    await stream.room();
    obey(stream, request);
  }
}

/** @throws EngineError when the stream takes no more. */
export function obey(stream: WatchStream, request: WatchRequest): void {
  switch (request.type) {
    case "create":
      stream.create(request.request);
      break;
    case "cancel":
      stream.cancel(request.request.watchId);
      break;
    case "progress":
      stream.requestProgress();
      break;
  }
}
