import { EngineError } from "../../../core/errors/index.ts";
import type { Engine, Member } from "../../../core/node/index.ts";
import { Query } from "./query.ts";

/** A member as the sugar shows it: etcd's names, without its omissions. */
interface MemberJson {
  readonly id: string;
  readonly name: string;
  readonly peerURLs: readonly string[];
  readonly clientURLs: readonly string[];
  readonly isLearner: boolean;
}

/** `GET /members`: who belongs to the group, as this member knows it unless `?consistency=` asks for more. */
export async function listMembers(engine: Engine, request: Request): Promise<Response> {
  const query = new Query(request.url, ["consistency"]);
  const { members } = await engine.memberList({ consistency: query.consistency() ?? "eventual" });
  return json({ members: members.map(memberJson) });
}

/** `GET /leader`: who leads, as far as this member knows; 503 when it knows of nobody. */
export async function showLeader(engine: Engine, request: Request): Promise<Response> {
  void new Query(request.url, []);
  const { leaderId, term } = engine.status();
  if (leaderId === null) throw new EngineError("noLeader");
  const { members } = await engine.memberList({ consistency: "eventual" });
  const leader = members.find(({ id }) => id === leaderId);
  return json({ ...(leader === undefined ? { id: leaderId.toString() } : memberJson(leader)), term });
}

/**
 * `GET /status`: where this member stands. `?hash=1` adds a hash of its state, equal on all members that have applied
 * the same; it walks the whole state, so it is for tests and for doubt.
 */
export async function showStatus(engine: Engine, request: Request): Promise<Response> {
  const query = new Query(request.url, ["hash"]);
  const { clusterId, nodeId, leaderId, stateHash: _atOnce, alarms, ...status } = engine.status();
  // In the same turn: the hash is of the state whose revision is shown.
  const hashed = query.flag("hash") ? await engine.hash({}) : null;
  return json({
    clusterId: clusterId.toString(),
    nodeId: nodeId.toString(),
    leaderId: leaderId?.toString() ?? null,
    ...status,
    alarms: alarms.map(({ memberId, type }) => ({ memberId: memberId.toString(), type })),
    ...(hashed === null ? {} : { stateHash: hashed.stateHash }),
  });
}

function memberJson({ id, name, peerUrls, clientUrls, isLearner }: Member): MemberJson {
  return { id: id.toString(), name, peerURLs: peerUrls, clientURLs: clientUrls, isLearner };
}

function json(body: object): Response {
  return new Response(JSON.stringify(body), { headers: { "Content-Type": "application/json" } });
}
