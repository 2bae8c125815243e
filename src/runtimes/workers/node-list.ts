import { EngineError } from "../../core/errors/index.ts";
import { isNodeName } from "./object-address.ts";

/** A node as the configuration has it. */
export interface WorkersNode {
  readonly name: string;
  /** Null for a node that is no Durable Object of this Worker. */
  readonly object: { readonly locationHint: string | null } | null;
  /** Where other members find it. */
  readonly peerUrl: string;
}

/** What Cloudflare takes as `locationHint`. */
const LOCATION_HINTS = ["wnam", "enam", "sam", "weur", "eeur", "apac", "oc", "afr", "me"] as const;

const MAX_NODES = 9;

/** A host name that is nobody's: it tells members among themselves which object is meant. */
const OBJECT_DOMAIN = ".d-engine.internal:443";

/** The peer URL of an object that only other objects of this Worker need to reach. */
export function objectUrl(node: string): string {
  return `https://${node}${OBJECT_DOMAIN}`;
}

/** The node whose object a peer URL stands for; null if the URL is reached over the network. */
export function objectOfUrl(nodes: readonly WorkersNode[], peerUrl: string): string | null {
  const known = nodes.find((node) => node.peerUrl === peerUrl);
  if (known !== undefined) return known.object === null ? null : known.name;
  // Of a node that has left the configuration, or has been given another URL.
  const name = peerUrl.endsWith(OBJECT_DOMAIN) ? peerUrl.slice("https://".length, -OBJECT_DOMAIN.length) : "";
  return isNodeName(name) ? name : null;
}

/**
 * `n1@weur,n2@enam,n3=http://10.0.0.3:2380`: a node with a place, or with nothing, is a Durable Object of this Worker;
 * one with a URL alone is reached there. An object that nodes elsewhere must reach has both: its place, and a URL
 * that leads to this Worker and is no other node's.
 *
 * @throws EngineError `invalidConfig`.
 */
export function parseNodes(text: string): readonly WorkersNode[] {
  const nodes = text.split(",").map((part) => parseNode(part.trim()));
  if (nodes.length > MAX_NODES) throw invalid(`there may be ${MAX_NODES} nodes at most`);
  const repeated = nodes.find(({ name, peerUrl }, i) =>
    nodes.slice(0, i).some((other) => other.name === name || other.peerUrl === peerUrl),
  );
  if (repeated !== undefined) throw invalid(`the name or the URL of "${repeated.name}" is not its own`);
  return nodes;
}

function parseNode(text: string): WorkersNode {
  const match = /^([^@=]+)(?:@([^=]*))?(?:=(.*))?$/.exec(text);
  const [, name = "", place, url] = match ?? [];
  if (!isNodeName(name)) {
    throw invalid(`"${text}" does not begin with a name: up to 32 small letters, digits and dashes`);
  }
  if (place !== undefined && place !== "" && !LOCATION_HINTS.some((hint) => hint === place)) {
    throw invalid(`"${place}" is no place; there are ${LOCATION_HINTS.join(", ")}`);
  }
  if (url !== undefined && !/^https?:\/\/[^\s/:@?#]+:[0-9]{1,5}$/.test(url)) {
    throw invalid(`"${url}" is not a URL like https://10.0.0.1:2380`);
  }
  const isObject = place !== undefined || url === undefined;
  return {
    name,
    object: isObject ? { locationHint: place === undefined || place === "" ? null : place } : null,
    peerUrl: url ?? objectUrl(name),
  };
}

function invalid(detail: string): EngineError {
  return new EngineError("invalidConfig", { detail: `D_ENGINE_NODES: ${detail}` });
}
