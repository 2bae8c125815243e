import type { Alarm, AlarmType } from "../../../core/kv/index.ts";
import type { AlarmRequest } from "../../../core/node/index.ts";
import { bigUint64, enumOf, type Field, list, type Message, message, nested } from "../codec/schema.ts";
import { header, type HeaderMessage } from "./kv-messages.ts";

/*
 * etcdserverpb's messages of alarms.
 */

type AlarmTypeName = "none" | AlarmType;

interface AlarmMemberMessage {
  readonly memberId: bigint;
  readonly alarm: AlarmTypeName;
}

export interface AlarmMessage extends AlarmMemberMessage {
  readonly action: AlarmRequest["action"];
}

export interface AlarmReply {
  readonly header: HeaderMessage;
  readonly alarms: readonly AlarmMemberMessage[];
}

const ALARM_NAMES: { readonly [T in AlarmTypeName]: string } = {
  none: "NONE",
  noSpace: "NOSPACE",
  corrupt: "CORRUPT",
};

function alarmType(number: number): Field<AlarmTypeName> {
  return enumOf<AlarmTypeName>(number, "AlarmType", ALARM_NAMES);
}

export const alarmRequest: Message<AlarmMessage> = message<AlarmMessage>(
  "AlarmRequest",
  () => ({ action: "get", memberId: 0n, alarm: "none" }),
  {
    action: enumOf<AlarmMessage["action"]>(1, "AlarmRequest.AlarmAction", {
      get: "GET",
      activate: "ACTIVATE",
      deactivate: "DEACTIVATE",
    }),
    memberId: bigUint64(2, "memberID"),
    alarm: alarmType(3),
  },
);

const alarmMember: Message<AlarmMemberMessage> = message<AlarmMemberMessage>(
  "AlarmMember",
  () => ({ memberId: 0n, alarm: "none" }),
  { memberId: bigUint64(1, "memberID"), alarm: alarmType(2) },
);

export const alarmReply: Message<AlarmReply> = message<AlarmReply>(
  "AlarmResponse",
  () => ({ header: {}, alarms: [] }),
  { header: nested(1, () => header), alarms: list(2, () => alarmMember) },
);

/** What an engine is asked, as etcd takes it: of no type, everything is listed, and nothing raised or disarmed. */
export function alarmRequestOf({ action, memberId, alarm: type }: AlarmMessage): AlarmRequest | null {
  if (action === "get") return type === "none" ? { action } : { action, type };
  return type === "none" ? null : { action, type, memberId };
}

export function alarmReplyOf(reply: {
  readonly header: HeaderMessage;
  readonly alarms: readonly Alarm[];
}): AlarmReply {
  return {
    header: reply.header,
    alarms: reply.alarms.map(({ memberId, type }) => ({ memberId, alarm: type })),
  };
}

/** As etcd's Status has it among its errors: protobuf's text, with the space at its end. */
export function alarmText({ memberId, type }: Alarm): string {
  return `memberID:${memberId} alarm:${alarmName(type)} `;
}

export function alarmName(type: AlarmType): string {
  return ALARM_NAMES[type];
}
