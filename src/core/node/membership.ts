import { type ClusterConfig, isVoter, members as membersOf, type NodeId } from "../raft/index.ts";
import { decodeMembers, encodeMembers } from "./codec/index.ts";
import type { Member } from "./engine.ts";
import type { MemberUpdate } from "./frames.ts";

interface Attributes {
  readonly name: string;
  readonly peerUrls: readonly string[];
  readonly clientUrls: readonly string[];
}

const UNKNOWN: Attributes = { name: "", peerUrls: [], clientUrls: [] };

/**
 * Who the members are, what they are called and where they live: Raft's configuration, and the attributes that
 * travel beside it in the log. Replicated, so the same on every node at the same index.
 */
export class Membership {
  #config: ClusterConfig;
  /** Made when it is asked for; every request looks at it. */
  #members: ReadonlyMap<NodeId, Member> | null = null;
  readonly #attributes: Map<NodeId, Attributes> = new Map();

  constructor(config: ClusterConfig, members: readonly Member[]) {
    this.#config = config;
    for (const { id, name, peerUrls, clientUrls } of members)
      this.#attributes.set(id, { name, peerUrls, clientUrls });
  }

  /** What {@link Membership.encode} gave, beside the configuration it belongs to. */
  static decode(config: ClusterConfig, bytes: Uint8Array): Membership {
    return new Membership(config, decodeMembers(bytes));
  }

  encode(): Uint8Array {
    return encodeMembers(this.list());
  }

  get config(): ClusterConfig {
    return this.#config;
  }

  /** In order of id. */
  list(): Member[] {
    return [...this.#byId().values()];
  }

  get(id: NodeId): Member | undefined {
    return this.#byId().get(id);
  }

  #byId(): ReadonlyMap<NodeId, Member> {
    this.#members ??= new Map(
      membersOf(this.#config).map((id) => {
        const isLearner = !isVoter(this.#config, id);
        return [id, { id, ...(this.#attributes.get(id) ?? UNKNOWN), isLearner }];
      }),
    );
    return this.#members;
  }

  /** A membership change was applied. The attributes of those who left go with them. */
  setConfig(config: ClusterConfig): void {
    this.#config = config;
    this.#members = null;
    const present = membersOf(config);
    for (const id of this.#attributes.keys()) if (!present.includes(id)) this.#attributes.delete(id);
  }

  /** News about a member; about anybody else it means nothing. */
  update({ id, name, peerUrls, clientUrls }: MemberUpdate): void {
    const before = this.#attributes.get(id) ?? UNKNOWN;
    if (this.get(id) === undefined) return;
    this.#members = null;
    this.#attributes.set(id, {
      name: name ?? before.name,
      peerUrls: peerUrls ?? before.peerUrls,
      clientUrls: clientUrls ?? before.clientUrls,
    });
  }

  /** Where every member can be reached by its peers. */
  peers(): Map<NodeId, readonly string[]> {
    return new Map(this.list().map(({ id, peerUrls }) => [id, peerUrls]));
  }
}
