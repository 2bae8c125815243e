// The Worker as it is deployed, which counts what the platform would bill. It and its objects share one isolate here,
// so that asking for the counts awakens nobody.

import { RaftObject as Deployed, routeRequest } from "../../src/runtimes/workers/index.ts";
import { type Billed, COUNTS_PATH } from "./billed.ts";

const counts: { -readonly [count in keyof Billed]: Billed[count] } = {
  workerRequests: 0,
  objectRequests: 0,
  rowsWritten: 0,
  objectsMade: 0,
};

export class RaftObject extends Deployed {
  constructor(...[state, env]: ConstructorParameters<typeof Deployed>) {
    counts.objectsMade++;
    const { storage } = state;
    const { sql } = storage;
    const exec = sql.exec.bind(sql);
    const setAlarm = storage.setAlarm.bind(storage);
    const deleteAlarm = storage.deleteAlarm.bind(storage);
    sql.exec = (query, ...bindings) => {
      const cursor = exec(query, ...bindings);
      counts.rowsWritten += cursor.rowsWritten;
      return cursor;
    };
    storage.setAlarm = (ms) => {
      counts.rowsWritten++;
      return setAlarm(ms);
    };
    storage.deleteAlarm = () => {
      counts.rowsWritten++;
      return deleteAlarm();
    };
    super(state, env);
  }

  override async fetch(request: Request): Promise<Response> {
    counts.objectRequests++;
    return await super.fetch(request);
  }

  override async alarm(): Promise<void> {
    counts.objectRequests++;
    await super.alarm();
  }
}

export default {
  async fetch(request: Request, env: object): Promise<Response> {
    if (new URL(request.url).pathname === COUNTS_PATH) return Response.json(counts);
    counts.workerRequests++;
    return await routeRequest(request, env);
  },
};
