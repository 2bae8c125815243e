import type { Context, Hono } from "hono";
import type { Engine } from "../../../core/node/index.ts";
import type { Accounts } from "../auth/accounts.ts";
import type { Base64 } from "../base64.ts";
import type { Guard } from "../client-auth.ts";
import { listMembers, showLeader, showStatus } from "./cluster-routes.ts";
import { deleteKey, getKey, isKeyless, putKey } from "./key-routes.ts";
import { listKeys } from "./list-route.ts";
import { watchKeys } from "./watch-route.ts";

export interface SugarOptions {
  readonly accounts: Accounts;
  readonly base64: Base64;
  readonly maxRequestBytes: number;
  readonly guard: Guard;
}

/** Mounts the routes for people and shell scripts: thin over the engine, and nothing that the gateway cannot do. */
export function mountSugar(app: Hono, { accounts, base64, maxRequestBytes, guard }: SugarOptions): void {
  const guarded = (answer: (request: Request, engine: Engine) => Response | Promise<Response>) => {
    return async ({ req: { raw } }: Context): Promise<Response> =>
      guard(raw) ?? answer(raw, await accounts.engineFor(raw));
  };
  // Keys are taken from the URL as it came. Parameters with patterns would cost every route of the app Hono's
  // quickest router.
  app.get(
    "/kv/*",
    guarded((request, engine) =>
      isKeyless(request) ? listKeys(engine, request, base64) : getKey(engine, request),
    ),
  );
  app.put(
    "/kv/*",
    guarded((request, engine) => putKey(engine, request, maxRequestBytes)),
  );
  app.delete(
    "/kv/*",
    guarded((request, engine) => deleteKey(engine, request)),
  );
  app.get(
    "/watch",
    guarded((request, engine) => watchKeys(engine, request, base64)),
  );
  app.get(
    "/members",
    guarded((request, engine) => listMembers(engine, request)),
  );
  app.get(
    "/leader",
    guarded((request, engine) => showLeader(engine, request)),
  );
  app.get(
    "/status",
    guarded((request, engine) => showStatus(engine, request)),
  );
}
