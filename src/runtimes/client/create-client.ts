import { Client } from "../../core/node/client/index.ts";
import { Caller } from "./caller.ts";
import { Calls } from "./calls.ts";
import { Discovery, usableUrls } from "./discovery.ts";
import { Endpoints } from "./endpoints.ts";
import { Exchange } from "./exchange.ts";
import { Login } from "./login.ts";
import { type ConnectOptions, credentialsOf, parseEndpoints, requestHeaders, tuningOf } from "./options.ts";
import { RemoteEngine } from "./remote-engine.ts";
import { watchFeed } from "./watch-feed.ts";
import { webClock } from "./web-clock.ts";
import { webRandom } from "../http/web-random.ts";

/**
 * A client of a group, over HTTP: the same one that `EmbeddedEngine` has, on Node, Workers, browsers, Deno and Bun.
 * Nothing is sent until it is asked for something.
 *
 * Reads are retried at other endpoints for as long as they have time. A write is sent again only after an error that
 * rules out that it was applied; otherwise it ends with an error whose `maybeApplied` is true.
 *
 * @throws EngineError `invalidConfig`.
 * @example
 * const client = createClient({ endpoints: ["https://a.example", "https://b.example"], token });
 * await client.put("greeting", "hello");
 */
export function createClient(options: ConnectOptions): Client {
  const { clock = webClock, random = webRandom, discover = false, pageSize, maxTxnOps } = options;
  const tuning = tuningOf(options);
  const { timeoutMs, attemptTimeoutMs, maxReplyBytes, watchIdleMs: idleMs } = tuning;
  const endpoints = new Endpoints(parseEndpoints(options.endpoints), { clock, random });
  const fetcher = options.fetch ?? ((url, init) => fetch(url, init));
  const carrier = { fetch: fetcher, headers: requestHeaders(options), clock, maxReplyBytes };
  const credentials = credentialsOf(options);
  const unsigned = new Exchange(carrier);
  const post = (url: string, body: string): Promise<string> =>
    unsigned.post(url, body, {}, { signal: new AbortController().signal, timeoutMs: attemptTimeoutMs });
  const hasClientToken = options.token !== undefined;
  const exchange =
    credentials === null
      ? unsigned
      : new Exchange({ ...carrier, login: new Login({ ...credentials, post, hasClientToken }) });
  const calls = new Calls();
  const caller = new Caller({ ...tuning, exchange, endpoints, clock });
  const feed = { exchange, caller, calls, clock, maxReplyBytes, attemptTimeoutMs, idleMs };
  const discovery = discover
    ? new Discovery(
        () => clock.nowMs(),
        async () => (await caller.call(calls.memberList, { linearizable: true }, {})).members,
        (members) => endpoints.found(usableUrls(members, endpoints.given)),
      )
    : null;
  const engine = new RemoteEngine({
    caller,
    calls,
    watchSource: {
      clock,
      endpoints,
      open: (url, requests, signal) => watchFeed(feed, url, requests, signal),
    },
    onCall: () => discovery?.nudge(),
  });
  return new Client(engine, {
    clock,
    random,
    timeoutMs,
    ...(pageSize === undefined ? {} : { pageSize }),
    ...(maxTxnOps === undefined ? {} : { maxTxnOps }),
  });
}
