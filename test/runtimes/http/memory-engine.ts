import { EngineError } from "../../../src/core/errors/index.ts";
import {
  encodeCommand,
  isReadOnly,
  type KvCommand,
  type KvResult,
  KvStore,
  validateCommand,
  validateRange,
} from "../../../src/core/kv/index.ts";
import {
  type Engine,
  type Member,
  type ResponseHeader,
  WatchHub,
  type WatchStats,
  type WatchTuning,
} from "../../../src/core/node/index.ts";
import { backupOf } from "../../../src/core/node/backup/index.ts";
import { StateWalks } from "../../../src/core/node/state-walks.ts";
import { withOwnLeases } from "../../../src/core/node/own-leases.ts";
import { webClock } from "../../../src/runtimes/client/web-clock.ts";
import { webRandom } from "../../../src/runtimes/http/web-random.ts";
import { HEADER, NO_AUTH, STATUS } from "./fake-engine.ts";

type Result<T extends KvResult["type"]> = Extract<KvResult, { readonly type: T }>;

export interface MemoryEngine extends Engine {
  readonly watchStats: () => WatchStats;
  readonly stopWatches: () => void;
}

/** The real store as a group of one that commits at once. Nobody can be added to it. */
export function memoryEngine(
  store: KvStore = new KvStore(),
  watchTuning: Partial<WatchTuning> = {},
): MemoryEngine {
  const header = (): ResponseHeader => ({ ...HEADER, revision: store.revision });

  const hub = new WatchHub({
    store,
    header: (revision) => ({ ...HEADER, revision }),
    clock: webClock,
    random: webRandom,
    tuning: watchTuning,
  });

  const walks = new StateWalks(store, webClock, () => {});
  const headerAt = (revision: number): ResponseHeader => ({ ...HEADER, revision });
  let lastLease = 1000n;
  const apply = <T extends Exclude<KvCommand["type"], "once" | "as">>(
    command: KvCommand & { readonly type: T },
  ): Result<T> => {
    validateCommand(command);
    const complete = withOwnLeases(command, () => lastLease++);
    const commands = [{ command: encodeCommand(complete), term: 1 }];
    const [result] = store.applyChunk(commands, () => hub.applied());
    if (result?.type === "error") throw new EngineError(result.code);
    return result as Result<T>;
  };

  const noMember = (): Promise<never> => Promise.reject(new EngineError("memberNotFound"));
  const self: Member = {
    id: HEADER.memberId,
    name: "default",
    peerUrls: ["http://127.0.0.1:2380"],
    clientUrls: ["http://127.0.0.1:2379"],
    isLearner: false,
  };

  return {
    status: () => ({
      ...STATUS,
      revision: store.revision,
      compactRevision: store.compactRevision,
      alarms: store.alarms,
      stateHash: () => store.stateHash(),
    }),
    header,
    async range(request) {
      validateRange(request);
      return { ...store.range(request), header: header() };
    },
    async put(request) {
      return { ...apply({ type: "put", request }).response, header: header() };
    },
    async deleteRange(request) {
      return { ...apply({ type: "deleteRange", request }).response, header: header() };
    },
    async txn(request) {
      const command = { type: "txn", request } as const;
      validateCommand(command);
      const response = isReadOnly(request) ? store.readTxn(request) : apply(command).response;
      return { ...response, header: header() };
    },
    async compact(request) {
      apply({ type: "compact", request });
      return { header: header() };
    },
    async leaseGrant({ id: given = 0n, ttlSeconds = 0, ttlMs = 1000 * ttlSeconds }) {
      const id = given === 0n ? lastLease++ : given;
      apply({ type: "leaseGrant", request: { id, ttlMs } });
      return { id, ttlMs, header: header() };
    },
    async leaseRevoke(request) {
      apply({ type: "leaseRevoke", request });
      return { header: header() };
    },
    async alarm(request) {
      if (request.action === "get") {
        const alarms = store.alarms.filter(({ type }) => (request.type ?? type) === type);
        return { alarms, header: header() };
      }
      const { action, ...alarm } = request;
      return { alarms: apply({ type: "alarm", request: { action, alarm } }).alarms, header: header() };
    },
    // Nothing ends by itself here.
    async leaseKeepAlive(id) {
      return { id, ttlMs: store.lease(id)?.ttlMs ?? 0, header: header() };
    },
    async leaseTimeToLive({ id, keys = false }) {
      const ttlMs = store.lease(id)?.ttlMs;
      const attached = keys ? store.leaseKeys(id) : [];
      return { id, remainingMs: ttlMs ?? -1, ttlMs: ttlMs ?? 0, keys: attached, header: header() };
    },
    async leaseList() {
      return { ids: Array.from(store.leases(), ({ id }) => id), header: header() };
    },
    watchStats: () => hub.stats(),
    stopWatches: () => hub.stop(),
    watch: (options = {}) => hub.open(options, true),
    memberList: () => Promise.resolve({ header: header(), members: [self] }),
    memberAdd: () => Promise.reject(new EngineError("unhealthy")),
    memberRemove: noMember,
    memberUpdate: noMember,
    memberPromote: noMember,
    hash: async ({ revision = 0 }, { signal } = {}) => ({
      ...(await walks.hash(revision, signal)),
      header: header(),
    }),
    backup(options) {
      const { clusterId, memberId, raftTerm: term } = HEADER;
      const origin = { clusterId, memberId, groupId: "default", term, createdMs: 0 };
      return backupOf(walks, () => origin, headerAt, options);
    },
    auth: NO_AUTH,
    transferLeadership: () => Promise.reject(new EngineError("badLeaderTransferee")),
    onLeaderChange: () => () => undefined,
    onMembershipChange: () => () => undefined,
  };
}
