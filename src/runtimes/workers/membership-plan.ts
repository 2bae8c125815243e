import type { Member } from "../../core/node/index.ts";
import type { NodeId } from "../../core/raft/index.ts";
import { objectUrl, type WorkersNode } from "./node-list.ts";

/** One change that brings the membership nearer to the configuration. */
export type MembershipStep =
  | { readonly type: "add"; readonly node: WorkersNode }
  | { readonly type: "update"; readonly node: WorkersNode; readonly id: NodeId }
  | { readonly type: "promote"; readonly node: WorkersNode; readonly id: NodeId }
  | { readonly type: "remove"; readonly name: string; readonly id: NodeId };

/**
 * What to do next; null when there is nothing to do. What is missing joins as a learner and is promoted, one node
 * after the other; and only when every configured node votes do those leave that are named to leave. Whoever is in
 * neither list stays: to forget a name must not cost a copy.
 */
export function nextMembershipStep(
  nodes: readonly WorkersNode[],
  removedNodes: readonly string[],
  members: readonly Member[],
): MembershipStep | null {
  const wanted = nodes.filter(({ name }) => !removedNodes.includes(name));
  for (const node of wanted) {
    const member = memberOf(node, members);
    if (member === undefined) return { type: "add", node };
    if (!member.peerUrls.includes(node.peerUrl)) return { type: "update", node, id: member.id };
    if (member.isLearner) return { type: "promote", node, id: member.id };
  }
  const kept = new Set(wanted.map((node) => memberOf(node, members)?.id));
  for (const name of removedNodes) {
    const configured = nodes.find((node) => node.name === name)?.peerUrl;
    const leaving = members.find(
      ({ id, name: known, peerUrls }) =>
        !kept.has(id) &&
        (known === name || peerUrls.some((url) => url === objectUrl(name) || url === configured)),
    );
    // The last one cannot leave.
    if (leaving !== undefined && members.length > 1) return { type: "remove", name, id: leaving.id };
  }
  return null;
}

/** By its URL, since it tells its name only when it has started; by its name where it was given another URL. */
function memberOf({ name, peerUrl }: WorkersNode, members: readonly Member[]): Member | undefined {
  return (
    members.find(({ peerUrls }) => peerUrls.includes(peerUrl)) ??
    members.find((member) => member.name === name) ??
    members.find(({ peerUrls }) => peerUrls.includes(objectUrl(name)))
  );
}
