import { MAX_ALARMS } from "./limits.ts";
import type { Alarm, AlarmCommand, AlarmType } from "./types.ts";

/**
 * The alarms that members have raised: each stays until somebody disarms it (etcd: server/etcdserver/api/v3alarm).
 * State like any other, changed by commands alone, so that all members refuse the same commands.
 */
export class AlarmTable {
  #alarms: readonly Alarm[] = [];

  /** In the order in which they were raised. The list never changes; there is another one instead. */
  get all(): readonly Alarm[] {
    return this.#alarms;
  }

  /** Whether any member has raised it. */
  has(type: AlarmType): boolean {
    return this.#alarms.length > 0 && this.#alarms.some((alarm) => alarm.type === type);
  }

  /**
   * As in etcd, gives the alarm when it is now active, whether it was before or not, and when it was disarmed; nothing
   * when there was none to disarm. Null: there are too many to raise another.
   */
  execute({ action, alarm }: AlarmCommand): readonly Alarm[] | null {
    const known = this.#alarms.find((each) => isSame(each, alarm));
    if (action === "activate") {
      if (known !== undefined) return [known];
      return this.#add(alarm) ? [alarm] : null;
    }
    if (known === undefined) return [];
    this.#alarms = this.#alarms.filter((each) => each !== known);
    return [known];
  }

  /** From a snapshot. Returns whether it can be. */
  restore(alarm: Alarm): boolean {
    return !this.#alarms.some((each) => isSame(each, alarm)) && this.#add(alarm);
  }

  #add({ type, memberId }: Alarm): boolean {
    if (this.#alarms.length >= MAX_ALARMS) return false;
    this.#alarms = [...this.#alarms, { type, memberId }];
    return true;
  }
}

function isSame(a: Alarm, b: Alarm): boolean {
  return a.type === b.type && a.memberId === b.memberId;
}
