import type { ServerConfig } from "../config/server-config.ts";

/**
 * Under which prefix of a store that others can reach a node keeps its own: cluster token, group and name, as far as
 * they can be told before the node knows its ids. Whoever has the same three is the same node, and takes it over.
 */
export function namespaceOf({
  initialClusterToken,
  groupId,
  name,
}: Pick<ServerConfig, "initialClusterToken" | "groupId" | "name">): string {
  return [initialClusterToken, groupId, name].map(pathPart).join("/");
}

/** Different texts stay different, and none is a part that a URL could mistake for a step up. */
function pathPart(text: string): string {
  const dots = text === "." || text === "..";
  return text.replaceAll(dots ? /./g : /[^\w.-]/gu, (character) =>
    [...new TextEncoder().encode(character)].map((byte) => `=${byte.toString(16).padStart(2, "0")}`).join(""),
  );
}
