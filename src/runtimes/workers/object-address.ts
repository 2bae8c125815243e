import { EngineError } from "../../core/errors/index.ts";

/** Which Raft group, and which of its nodes: the name of one object. */
export interface ObjectAddress {
  readonly group: string;
  readonly node: string;
}

/** How objects are told who they are: they cannot see their own name. Only the Worker and other objects reach them. */
export const ADDRESS_HEADER = "X-D-Engine-Object";

const GROUP_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
/** Part of a host name, see `objectUrl`. */
const NODE_NAME = /^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$/;

export function isGroupName(name: string): boolean {
  return GROUP_NAME.test(name);
}

export function isNodeName(name: string): boolean {
  return NODE_NAME.test(name);
}

/** The name under which the object is found: `idFromName`. */
export function objectName({ group, node }: ObjectAddress): string {
  return `${group}/${node}`;
}

/** @throws EngineError `invalidArgument`. */
export function parseObjectName(name: string): ObjectAddress {
  const slash = name.indexOf("/");
  const address = { group: name.slice(0, slash), node: name.slice(slash + 1) };
  if (slash > 0 && isGroupName(address.group) && isNodeName(address.node)) return address;
  throw new EngineError("invalidArgument", { detail: "that is no name of a group's node" });
}
