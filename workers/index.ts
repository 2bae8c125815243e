// The Worker that `wrangler deploy` deploys (see wrangler.toml): one Durable Object for each node of each group, and
// this in front of them.

import { routeRequest, type WorkersEnv } from "../src/runtimes/workers/index.ts";

export { RaftObject } from "../src/runtimes/workers/index.ts";

export default {
  fetch: (request: Request, env: WorkersEnv): Promise<Response> => routeRequest(request, env),
};
