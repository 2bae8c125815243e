import { EngineError } from "../../core/errors/index.ts";
import type { Member, StorageEngine, StoreIdentity } from "../../core/node/index.ts";
import type { NodeId } from "../../core/raft/index.ts";
import {
  askMember,
  describeIdentity,
  type DiscoveryAnswer,
  formatId,
  foundCluster,
  founderId,
  type PeerMac,
  type Poster,
} from "../http/peer/index.ts";
import { NO_CLUSTER } from "./newcomer.ts";
import type { ObjectAddress } from "./object-address.ts";
import type { WorkersNode } from "./node-list.ts";
import type { WorkersConfig } from "./workers-config.ts";

/** Who this node is, and how it comes into its group. */
export interface ResolvedMember {
  readonly identity: StoreIdentity;
  /** For a new group; null when the node restarts or joins. */
  readonly founders: readonly Member[] | null;
  /** Where members can be reached before the group itself has told. */
  readonly contacts: ReadonlyMap<NodeId, readonly string[]>;
  /** The object's storage was new: this node has never made a promise to anybody. */
  readonly isNew: boolean;
}

export interface MemberContext {
  readonly config: WorkersConfig;
  readonly address: ObjectAddress;
  readonly storage: StorageEngine;
  readonly poster: Poster;
  readonly membersMac: PeerMac;
}

/**
 * Finds out who this node is: from its storage if that has been used before; and otherwise by asking all other nodes
 * of the configuration. It founds the group only when each of them says that it is new as well: whoever adds nodes to
 * a configuration and deploys must never get a second group beside the one that there is.
 *
 * @throws EngineError `storageForeign`, `invalidConfig`; `unhealthy` when it cannot be known yet: to be tried again.
 */
export async function resolveMember(context: MemberContext): Promise<ResolvedMember> {
  const { config, address, storage } = context;
  const { identity } = await storage.meta.load();
  if (identity !== null) {
    if (await hasLeft(context, identity)) throw removed(address);
    if (identity.groupId !== address.group) {
      const detail = `the object's storage belongs to ${describeIdentity(identity)}, but it is asked for group "${address.group}"`;
      throw new EngineError("storageForeign", { detail });
    }
    const toldOf = (await storage.snapshots.list()).length > 0;
    const contacts = toldOf ? new Map() : contactsOf(await askOthers(context));
    return { identity, founders: null, contacts, isNew: false };
  }
  const self = ownNode(config, address);
  const answers = await askOthers(context);
  const existing =
    answers.find(({ group }) => group !== null && group.clusterId !== NO_CLUSTER)?.group ?? null;
  const founding = await foundCluster(
    config.nodes.map(({ name, peerUrl }) => ({ name, peerUrls: [peerUrl] })),
    config.clusterToken,
  );
  const ownId = founderId(founding, self.name);
  // Each tells its name itself, when it first starts.
  const founders = founding.founders.map((founder) => ({ ...founder, name: "" }));
  const identityOf = (clusterId: bigint, nodeId: NodeId): StoreIdentity => ({
    clusterId,
    groupId: address.group,
    nodeId,
  });
  if (existing === null) {
    const silent = answers.filter(({ group }) => group === null);
    if (silent.length > 0) throw cannotTell(silent);
    return { identity: identityOf(founding.clusterId, ownId), founders, contacts: new Map(), isNew: true };
  }
  const known = existing.members.find(({ peerUrls }) => peerUrls.includes(self.peerUrl));
  if (known === undefined) {
    throw new EngineError("unhealthy", { detail: `the group's leader has not added node ${self.name} yet` });
  }
  if (known.name !== "") throw lostStorage(self, known);
  const identityHere = identityOf(existing.clusterId, known.id);
  const founds = existing.clusterId === founding.clusterId && known.id === ownId && !known.isLearner;
  return {
    identity: identityHere,
    founders: founds ? founders : null,
    contacts: contactsOf(answers),
    isNew: true,
  };
}

/**
 * Whether a node that was named to leave has done so, as another member tells. It would not hear of it from the group,
 * which has nothing to say to strangers, and would campaign, and so keep everybody awake, for ever.
 */
export async function hasLeft(
  context: MemberContext,
  { clusterId, nodeId }: StoreIdentity,
): Promise<boolean> {
  if (!context.config.removedNodes.includes(context.address.node)) return false;
  const answers = await askOthers(context);
  return answers.some(
    ({ group }) => group?.clusterId === clusterId && !group.members.some(({ id }) => id === nodeId),
  );
}

/** @throws EngineError `invalidConfig`: the object of a node that is not, or no longer, configured. */
function ownNode(config: WorkersConfig, { node }: ObjectAddress): WorkersNode {
  const self = config.nodes.find(({ name, object }) => name === node && object !== null);
  if (self !== undefined) return self;
  throw new EngineError("invalidConfig", { detail: `D_ENGINE_NODES names no object ${node}` });
}

function askOthers({ config, address, poster, membersMac }: MemberContext): Promise<DiscoveryAnswer[]> {
  const others = config.nodes.filter(({ name }) => name !== address.node);
  return Promise.all(others.map(({ peerUrl }) => askMember(peerUrl, address.group, poster, membersMac)));
}

function contactsOf(answers: readonly DiscoveryAnswer[]): Map<NodeId, readonly string[]> {
  const members = answers.flatMap(({ group }) => group?.members ?? []);
  return new Map(members.map(({ id, peerUrls }) => [id, peerUrls]));
}

function cannotTell(silent: readonly DiscoveryAnswer[]): EngineError {
  const problems = silent.map(({ url, problem }) => `${url}: ${problem}`).join("; ");
  return new EngineError("unhealthy", {
    detail: `it is not known whether the group exists already: ${problems}`,
  });
}

function removed({ node }: ObjectAddress): EngineError {
  return new EngineError("invalidConfig", {
    detail: `node ${node} has left the group, as D_ENGINE_REMOVED_NODES says`,
  });
}

function lostStorage({ name }: WorkersNode, member: Member): EngineError {
  return new EngineError("invalidConfig", {
    detail:
      `node ${name} (${formatId(member.id)}) has run before, but its object's storage is empty. Without its log it ` +
      `could break promises that it made: put a node of another name in its place in D_ENGINE_NODES, and name ` +
      `${name} in D_ENGINE_REMOVED_NODES`,
  });
}
