import { EngineError } from "../../../core/errors/index.ts";
import type { EngineStatus, ResponseHeader } from "../../../core/node/index.ts";
import {
  alarmReply,
  alarmReplyOf,
  alarmRequest,
  type AlarmMessage,
  alarmRequestOf,
  alarmText,
} from "./alarm-messages.ts";
import * as cluster from "./cluster-messages.ts";
import { headerReply } from "./kv-messages.ts";
import { type Method, method } from "./method.ts";

/** etcd's Maintenance service, but for what streams. Except for MoveLeader and Alarm, each is about the member that is asked. */
export const MAINTENANCE_METHODS: readonly Method[] = [
  method({
    service: "etcdserverpb.Maintenance",
    rpc: "Status",
    path: "/maintenance/status",
    request: cluster.emptyRequest,
    response: cluster.statusReply,
    call: (engine, _request: object, context) =>
      Promise.resolve(statusReply(engine.status(), engine.header(), context.etcdVersion)),
  }),
  method({
    service: "etcdserverpb.Maintenance",
    rpc: "MoveLeader",
    path: "/maintenance/transfer-leadership",
    request: cluster.moveLeaderRequest,
    response: headerReply,
    call: async (engine, { targetId }: cluster.MoveLeaderMessage) => {
      await engine.transferLeadership(targetId);
      return { header: engine.header() };
    },
  }),
  method({
    service: "etcdserverpb.Maintenance",
    rpc: "Alarm",
    path: "/maintenance/alarm",
    request: alarmRequest,
    response: alarmReply,
    call: async (engine, message: AlarmMessage) => {
      const request = alarmRequestOf(message);
      return request === null
        ? { header: engine.header(), alarms: [] }
        : alarmReplyOf(await engine.alarm(request));
    },
  }),
  method({
    service: "etcdserverpb.Maintenance",
    rpc: "Hash",
    path: "/maintenance/hash",
    request: cluster.emptyRequest,
    response: cluster.hashReply,
    call: async (engine) => {
      const { header, hash } = await engine.hash({});
      return { header, hash: shortHash(hash) };
    },
  }),
  method({
    service: "etcdserverpb.Maintenance",
    rpc: "HashKV",
    path: "/maintenance/hashkv",
    request: cluster.hashKvRequest,
    response: cluster.hashKvReply,
    call: async (engine, { revision }: cluster.HashKvMessage) => {
      const { hash, ...rest } = await engine.hash({ revision });
      return { ...rest, hash: shortHash(hash) };
    },
  }),
  method({
    service: "etcdserverpb.Maintenance",
    rpc: "Defragment",
    path: "/maintenance/defragment",
    request: cluster.emptyRequest,
    response: cluster.defragmentReply,
    call: async (engine) => {
      engine.auth.requireRoot();
      return { header: engine.header(), note: NOTHING_TO_DEFRAGMENT };
    },
  }),
  method({
    service: "etcdserverpb.Maintenance",
    rpc: "Downgrade",
    path: "/maintenance/downgrade",
    request: cluster.emptyRequest,
    response: headerReply,
    call: () => Promise.reject(new EngineError("unimplemented", { detail: NO_DOWNGRADE })),
  }),
];

const NOTHING_TO_DEFRAGMENT =
  "nothing to do: what compaction frees is used again, and memory moved together, while the member runs";
const NO_DOWNGRADE =
  "downgrade: there is no cluster version to lower. To go back to an older release, start the members with it one by " +
  "one; one that cannot read its storage says so and changes nothing";

/** The 32 bits that etcd's messages have room for. */
function shortHash(hash: string): number {
  return Number.parseInt(hash.slice(-8), 16);
}

function statusReply(status: EngineStatus, header: ResponseHeader, version: string): cluster.StatusReply {
  return {
    header,
    version,
    dbSize: status.dbSize,
    leader: status.leaderId ?? 0n,
    raftIndex: status.commitIndex,
    raftTerm: status.term,
    raftAppliedIndex: status.appliedIndex,
    errors: [
      ...(status.leaderId === null ? ["etcdserver: no leader"] : []),
      ...status.alarms.map((alarm) => alarmText(alarm)),
    ],
    dbSizeInUse: status.dbSize,
    isLearner: status.isLearner,
  };
}
