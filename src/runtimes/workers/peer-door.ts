import { EngineError } from "../../core/errors/index.ts";
import { readBytes } from "../http/body.ts";
import { ANSWER_HEADER, groupOfEnvelope, MAX_BATCH_BYTES, PEER_PATH } from "../http/peer/index.ts";
import { ADDRESS_HEADER, objectName } from "./object-address.ts";
import { type WorkersNode, objectUrl } from "./node-list.ts";
import { stubOf } from "./object-poster.ts";
import type { WorkersEnv } from "./platform.ts";
import { mayUseGroup, raftNamespace, type WorkersConfig } from "./workers-config.ts";

/** Where members that are not objects of this Worker reach those that are. */
export const OUTSIDE_PEER_PATH: string = PEER_PATH;

/**
 * Lets members from elsewhere in, to the object whose URL in the configuration they used. What they say is
 * authenticated there; here it only decides who is awakened. Where no object has a URL there is no such door.
 *
 * @throws EngineError `unimplemented`, `malformed`, `permissionDenied`.
 */
export async function routePeer(request: Request, config: WorkersConfig, env: WorkersEnv): Promise<Response> {
  const node = objectAt(config, new URL(request.url));
  const body = await readBytes(request, MAX_BATCH_BYTES);
  const group = groupOfEnvelope(body);
  if (!mayUseGroup(config, group)) {
    throw new EngineError("permissionDenied", {
      detail: "D_ENGINE_GROUPS does not allow a group of this name",
    });
  }
  const headers = new Headers({ [ADDRESS_HEADER]: objectName({ group, node: node.name }) });
  if (request.headers.has(ANSWER_HEADER)) headers.set(ANSWER_HEADER, "1");
  const stub = stubOf(raftNamespace(env), config.nodes, group, node.name);
  return await stub.fetch(`https://object${PEER_PATH}`, {
    method: "POST",
    headers,
    body: body as Uint8Array<ArrayBuffer>,
  });
}

function objectAt({ nodes }: WorkersConfig, url: URL): WorkersNode {
  const open = nodes.filter(({ name, object, peerUrl }) => object !== null && peerUrl !== objectUrl(name));
  const named = open.find(({ peerUrl }) => new URL(peerUrl).hostname === url.hostname);
  const node = named ?? (open.length === 1 ? open[0] : undefined);
  if (node !== undefined) return node;
  throw new EngineError("unimplemented", { detail: "no object has this peer URL in D_ENGINE_NODES" });
}
