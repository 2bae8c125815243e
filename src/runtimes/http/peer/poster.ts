/** Takes sealed envelopes to one member or to any, however the platform does that. */
export interface Poster {
  /** Resolves with whatever status came back; rejects when no answer did. Never repeats what may have arrived. */
  post(peerUrl: string, envelope: Uint8Array): Promise<PosterReply>;
}

export interface PosterReply {
  readonly status: number;
  readonly body: Uint8Array;
}

/** Path of the peer route below a member's peer URL. */
export const PEER_PATH = "/raft";
