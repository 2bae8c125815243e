import type { ByteReader, ByteWriter } from "../bytes/index.ts";
import type { Alarm, AlarmCommand, AlarmType } from "./types.ts";

/*
 * Alarms as bytes, in commands and snapshots:
 *
 *   command  action u8 (0 activate, 1 deactivate), alarm
 *   alarm    type u8 (0 noSpace, 1 corrupt), memberId u64
 */

const ACTIONS: readonly AlarmCommand["action"][] = ["activate", "deactivate"];
const TYPES: readonly AlarmType[] = ["noSpace", "corrupt"];
const ALARM_BYTES = 9;

export function writeAlarmCommand(writer: ByteWriter, { action, alarm }: AlarmCommand): void {
  writer.u8(ACTIONS.indexOf(action));
  writeAlarm(writer, alarm);
}

export function readAlarmCommand(reader: ByteReader): AlarmCommand {
  const action = reader.u8();
  return {
    action: ACTIONS[action] ?? reader.fail(`unknown action ${action} on an alarm`),
    alarm: readAlarm(reader),
  };
}

export function writeAlarms(writer: ByteWriter, alarms: readonly Alarm[]): void {
  writer.uint(alarms.length);
  for (const alarm of alarms) writeAlarm(writer, alarm);
}

export function readAlarms(reader: ByteReader): Alarm[] {
  const alarms: Alarm[] = [];
  for (let left = reader.count(ALARM_BYTES); left > 0; left--) alarms.push(readAlarm(reader));
  return alarms;
}

function writeAlarm(writer: ByteWriter, { type, memberId }: Alarm): void {
  writer.u8(TYPES.indexOf(type)).u64(memberId);
}

function readAlarm(reader: ByteReader): Alarm {
  const type = reader.u8();
  return { type: TYPES[type] ?? reader.fail(`unknown alarm ${type}`), memberId: reader.u64() };
}
