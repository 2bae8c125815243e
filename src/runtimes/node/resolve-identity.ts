import { EngineError } from "../../core/errors/index.ts";
import type { Logger, Member, Random, StorageEngine, StoreIdentity } from "../../core/node/index.ts";
import type { NodeId } from "../../core/raft/index.ts";
import { tokenOfRestored } from "./backup/restored-token.ts";
import { invalid } from "./config/raw-settings.ts";
import type { ServerConfig } from "./config/server-config.ts";
import {
  describeIdentity,
  type DiscoveryAnswer,
  type Founding,
  formatId,
  foundCluster,
  founderId,
  type KnownGroup,
} from "../http/peer/index.ts";
import { askMembers } from "./peers/discovery.ts";
import type { PeerClientTls } from "./peers/peer-poster.ts";
import { describeStorage } from "./storage/describe-storage.ts";

/** Who this node is, and how it comes into its group. */
export interface ResolvedIdentity {
  readonly identity: StoreIdentity;
  /** For a new group; null when the node restarts or joins. */
  readonly founders: readonly Member[] | null;
  /** Where members can be reached before the group itself has told. */
  readonly contacts: ReadonlyMap<NodeId, readonly string[]>;
}

export interface IdentityContext {
  readonly config: ServerConfig;
  readonly storage: StorageEngine;
  readonly random: Random;
  readonly logger: Logger;
  readonly tls?: PeerClientTls;
}

const ASK_TIMEOUT_MS = 3000;
const ASK_ROUNDS = 3;
const ASK_AGAIN_MS = 500;

/**
 * Finds out who this node is: from its storage if that has been used before, from the initial cluster when it
 * founds one, and by asking the other members when it joins.
 *
 * @throws EngineError `storageForeign` when storage and configuration contradict each other, `invalidConfig` when
 * the group does not know this node, `unhealthy` when nobody answers.
 */
export async function resolveIdentity(context: IdentityContext): Promise<ResolvedIdentity> {
  const { identity } = await context.storage.meta.load();
  if (identity !== null) return restart(context, identity);
  const { config } = context;
  if (config.initialClusterState === "existing") return join(context);
  if (config.initialCluster.length === 0) return await foundAlone(context);
  return found(context, await foundCluster(config.initialCluster, config.initialClusterToken));
}

/**
 * Nobody else has to agree on the ids of a node that cannot be reached, so they are drawn. But of several processes that
 * found the same node in a store that all can reach, each writes the first snapshot, and one that was replaced may come
 * last: they all must say the same.
 */
async function foundAlone({ config, storage, random }: IdentityContext): Promise<ResolvedIdentity> {
  const { name, groupId, initialClusterToken } = config;
  const isShared = storage.confirmOwner !== undefined;
  const place = [describeStorage(config), groupId];
  const alike = isShared ? await foundCluster([{ name, peerUrls: place }], initialClusterToken) : null;
  const nodeId = alike?.founders[0]?.id ?? random.id();
  const self = { id: nodeId, name, peerUrls: [], clientUrls: [], isLearner: false };
  return {
    identity: { clusterId: alike?.clusterId ?? random.id(), groupId, nodeId },
    founders: [self],
    contacts: new Map(),
  };
}

/**
 * Founds the cluster, unless the other founders say that this one has been part of it before: then its directory
 * was lost, and with it the votes and entries that it had promised to keep.
 */
async function found(context: IdentityContext, founding: Founding): Promise<ResolvedIdentity> {
  const { clusterId, founders } = founding;
  const nodeId = founderId(founding, context.config.name);
  const answers = await ask(context, otherUrls(context.config));
  for (const { group } of answers) {
    const self = group?.members.find((member) => member.id === nodeId);
    if (group?.clusterId === clusterId && self !== undefined && hasRun(self)) {
      throw lostDirectory(context.config, self);
    }
  }
  return {
    identity: { clusterId, groupId: context.config.groupId, nodeId },
    // Each tells its name itself, when it first starts.
    founders: founders.map((founder) => ({ ...founder, name: "" })),
    contacts: new Map(),
  };
}

async function join(context: IdentityContext): Promise<ResolvedIdentity> {
  const { config } = context;
  const { group, self } = await findSelf(context);
  // It must not start again without what it had promised to keep.
  if (hasRun(self)) throw lostDirectory(config, self);
  return {
    identity: { clusterId: group.clusterId, groupId: config.groupId, nodeId: self.id },
    founders: null,
    contacts: contactsOf(group),
  };
}

/** A member tells its name when it first starts, and nobody else does. */
function hasRun(self: Member): boolean {
  return self.name !== "";
}

/** The stored identity, once it is sure that the configuration does not mean another node. */
async function restart(context: IdentityContext, stored: StoreIdentity): Promise<ResolvedIdentity> {
  const { config } = context;
  if (stored.groupId !== config.groupId) {
    throw foreign(config, stored, `the configuration says group "${config.groupId}"`);
  }
  // etcd ignores the initial cluster of a restarted member; but given for another node it betrays a mixed-up directory.
  if (config.initialClusterGiven && config.initialClusterState === "new") {
    const founding = await foundingOf(config, stored);
    const nodeId = founderId(founding, config.name);
    if (founding.clusterId !== stored.clusterId || nodeId !== stored.nodeId) {
      const described = describeIdentity({ ...stored, clusterId: founding.clusterId, nodeId });
      throw foreign(
        config,
        stored,
        `--initial-cluster describes ${described}. If the directory is right, drop --initial-cluster or set ` +
          "--initial-cluster-state to existing",
      );
    }
  }
  return { identity: stored, founders: null, contacts: await rememberContacts(context, stored) };
}

/** The cluster that the configuration describes; where that is not the stored one, the one that was restored for it. */
async function foundingOf(config: ServerConfig, stored: StoreIdentity): Promise<Founding> {
  const { initialCluster, initialClusterToken } = config;
  const founding = await foundCluster(initialCluster, initialClusterToken);
  if (founding.clusterId === stored.clusterId) return founding;
  const token = await tokenOfRestored(config);
  return token === null ? founding : await foundCluster(initialCluster, token);
}

/** A node that stopped before the group had told it about the members needs to be told again where they are. */
async function rememberContacts(
  { storage, ...context }: IdentityContext,
  stored: StoreIdentity,
): Promise<ReadonlyMap<NodeId, readonly string[]>> {
  if (context.config.initialClusterState !== "existing") return new Map();
  if ((await storage.snapshots.list()).length > 0) return new Map();
  const answers = await ask({ ...context, storage }, otherUrls(context.config));
  const group = answers.find((answer) => answer.group?.clusterId === stored.clusterId)?.group;
  return group === undefined || group === null ? new Map() : contactsOf(group);
}

/** Asks until a member knows this node: an `add` that was just committed may not have reached all of them. */
async function findSelf(context: IdentityContext): Promise<{ group: KnownGroup; self: Member }> {
  const { config, logger } = context;
  const urls = otherUrls(config);
  if (urls.length === 0)
    throw invalid("--initial-cluster must name a member besides this one, to join through it");
  let answers: readonly DiscoveryAnswer[] = [];
  for (let round = 0; round < ASK_ROUNDS; round++) {
    if (round > 0) await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN_MS));
    answers = await ask(context, urls);
    for (const { group } of answers) {
      const self = group?.members.find(({ peerUrls }) =>
        peerUrls.some((url) => config.advertisePeerUrls.includes(url)),
      );
      if (group !== null && self !== undefined) return { group, self };
    }
    logger.log("info", "no member knows this node yet", { urls, problems: problems(answers) });
  }
  if (answers.every(({ group }) => group === null)) {
    throw new EngineError("unhealthy", { detail: `no member answered: ${problems(answers).join("; ")}` });
  }
  const urlList = config.advertisePeerUrls.join(",");
  throw invalid(
    `no member of the cluster has the peer URL ${urlList}. First run on a member: ` +
      `d-engine member add ${config.name} --peer-urls=${urlList}`,
  );
}

function ask({ config, tls }: IdentityContext, urls: readonly string[]): Promise<readonly DiscoveryAnswer[]> {
  return askMembers(urls, {
    groupId: config.groupId,
    secret: config.peerSecret,
    ...(tls === undefined ? {} : { tls }),
    timeoutMs: ASK_TIMEOUT_MS,
  });
}

function otherUrls(config: ServerConfig): readonly string[] {
  return config.initialCluster.filter(({ name }) => name !== config.name).flatMap(({ peerUrls }) => peerUrls);
}

function contactsOf(group: KnownGroup): ReadonlyMap<NodeId, readonly string[]> {
  return new Map(group.members.map(({ id, peerUrls }) => [id, peerUrls]));
}

function problems(answers: readonly DiscoveryAnswer[]): string[] {
  return answers.flatMap(({ url, problem }) => (problem === null ? [] : [`${url}: ${problem}`]));
}

function lostDirectory(config: ServerConfig, self: Member): EngineError {
  const id = formatId(self.id);
  return invalid(
    `member ${id} has run before, but ${describeStorage(config)} is empty. Without its log it could break promises that it ` +
      `made, so it must come back as a new member: d-engine member remove ${id}, then d-engine member add`,
  );
}

function foreign(config: ServerConfig, stored: StoreIdentity, contradiction: string): EngineError {
  return new EngineError("storageForeign", {
    detail: `${describeStorage(config)} belongs to ${describeIdentity(stored)}, but ${contradiction}`,
  });
}
