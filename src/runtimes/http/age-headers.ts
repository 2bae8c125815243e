import type { ReadAge } from "../../core/node/index.ts";

/** How old an answer is, where it comes from a copy that is brought up to date now and then. */
export function ageHeaders(age: ReadAge | undefined): Record<string, string> {
  if (age === undefined) return {};
  const { checkedMsAgo, writtenAtMs } = age;
  return {
    "X-D-Engine-Checked-Ms-Ago": String(checkedMsAgo),
    ...(writtenAtMs === null ? {} : { "X-D-Engine-Written-At": new Date(writtenAtMs).toISOString() }),
  };
}
