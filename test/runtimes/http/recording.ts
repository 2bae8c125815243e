/** The content of `etcd-3.4-replies.json`. */
export interface Recording {
  /** The first line of `etcd --version`. */
  readonly version: string;
  /** By scenario name, one {@link replyLine} for each step. */
  readonly scenarios: Readonly<Record<string, readonly string[]>>;
}

/** Status and body, without what differs from one cluster to the next. */
export function replyLine(status: number, body: string): string {
  const comparable = body
    .replace(/"cluster_id":"[0-9]+"/g, '"cluster_id":"C"')
    .replace(/"(member_id|ID)":"[0-9]+"/g, '"$1":"M"')
    .replace(/"raft_term":"[0-9]+"/g, '"raft_term":"T"')
    .replace(/127\.0\.0\.1:[0-9]+/g, "127.0.0.1:P");
  return `${status} ${comparable}`;
}
