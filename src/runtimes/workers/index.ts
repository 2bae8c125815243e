export type {
  HibernatingSocket,
  ObjectId,
  ObjectNamespace,
  ObjectState,
  ObjectStorage,
  ObjectStub,
  WorkersEnv,
} from "./platform.ts";
export { RaftObject } from "./raft-object.ts";
export { routeRequest } from "./router.ts";
