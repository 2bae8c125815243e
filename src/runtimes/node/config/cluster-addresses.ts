import type { InitialMember } from "../../http/peer/index.ts";
import { invalid } from "./raw-settings.ts";
import type { SettingReader } from "./setting-reader.ts";
import { canListenOn, isWildcard, parseUrlList } from "./urls.ts";

export type Profile = "server" | "embedded";

/** Who this member is, where it listens, and with whom it begins. */
export interface ClusterAddresses {
  readonly name: string;
  readonly listenClientUrls: readonly string[];
  readonly advertiseClientUrls: readonly string[];
  readonly listenPeerUrls: readonly string[];
  /** Where other members reach this one; empty when they cannot. */
  readonly advertisePeerUrls: readonly string[];
  /** This member among them, unless it has no peer URLs. */
  readonly initialCluster: readonly InitialMember[];
  /** Whether somebody named the members, or they follow from the defaults. */
  readonly initialClusterGiven: boolean;
  readonly initialClusterState: "new" | "existing";
}

const LISTEN_DEFAULTS: Readonly<Record<Profile, { client: readonly string[]; peer: readonly string[] }>> = {
  server: { client: ["http://localhost:2379"], peer: ["http://localhost:2380"] },
  embedded: { client: [], peer: [] },
};

export function clusterAddresses(reader: SettingReader, profile: Profile): ClusterAddresses {
  const name = memberName(reader);
  const state = reader.oneOf("initial-cluster-state", ["new", "existing"], "new");
  const given = initialCluster(reader);
  const listenClientUrls = listenUrls(reader, "listen-client-urls", LISTEN_DEFAULTS[profile].client);
  const own = given?.find((member) => member.name === name)?.peerUrls ?? null;
  // Whoever says where others reach this member need not say once more where it listens.
  const announced = reader.urls("initial-advertise-peer-urls") ?? own;
  const listenPeerUrls = listenUrls(
    reader,
    "listen-peer-urls",
    announced === null ? LISTEN_DEFAULTS[profile].peer : announced.filter(canListenOn),
  );
  const advertisePeerUrls =
    announced ?? reachable(reader, "initial-advertise-peer-urls", "listen-peer-urls", listenPeerUrls);
  if (given !== null) checkOwnEntry(reader, name, own, advertisePeerUrls);
  if (advertisePeerUrls.length > 0 && listenPeerUrls.length === 0) {
    throw invalid(`set --listen-peer-urls: ${advertisePeerUrls[0]} does not say on which address to listen`);
  }
  if (state === "existing" && given === null) {
    throw invalid(
      `${reader.label("initial-cluster-state")} is "existing", so --initial-cluster must name the members`,
    );
  }
  return {
    name,
    listenClientUrls,
    advertiseClientUrls:
      reader.urls("advertise-client-urls") ??
      reachable(reader, "advertise-client-urls", "listen-client-urls", listenClientUrls),
    listenPeerUrls,
    advertisePeerUrls,
    initialCluster: given ?? (advertisePeerUrls.length === 0 ? [] : [{ name, peerUrls: advertisePeerUrls }]),
    initialClusterGiven: given !== null,
    initialClusterState: state,
  };
}

/** Who a member is that is set up but not started, and with whom it is to begin. */
export function foundingMembers(reader: SettingReader): {
  readonly name: string;
  readonly initialCluster: readonly InitialMember[];
} {
  const name = memberName(reader);
  const given = initialCluster(reader);
  const own = given?.find((member) => member.name === name)?.peerUrls ?? null;
  const peerUrls = reader.urls("initial-advertise-peer-urls") ?? own ?? LISTEN_DEFAULTS.server.peer;
  if (given !== null) checkOwnEntry(reader, name, own, peerUrls);
  return { name, initialCluster: given ?? [{ name, peerUrls }] };
}

function memberName(reader: SettingReader): string {
  const name = reader.text("name", "default");
  // It must survive a round trip through --initial-cluster, and headers and logs.
  if (/^[^\s,=\p{C}]{1,100}$/u.test(name)) return name;
  throw invalid(
    `${reader.label("name")} must be up to 100 characters without spaces, commas and equals signs, not "${name}"`,
  );
}

function listenUrls(reader: SettingReader, name: string, byDefault: readonly string[]): readonly string[] {
  const urls = reader.urls(name) ?? byDefault;
  const bad = urls.find((url) => !canListenOn(url));
  if (bad === undefined) return urls;
  throw invalid(`${reader.label(name)}: "${bad}" must have an IP address or localhost to listen on`);
}

/** Listen URLs serve as the announced ones, unless they stand for every address and so name none. */
function reachable(
  reader: SettingReader,
  name: string,
  listenName: string,
  urls: readonly string[],
): readonly string[] {
  const bad = urls.find(isWildcard);
  if (bad === undefined) return urls;
  throw invalid(
    `set --${name}: ${reader.label(listenName)} is ${bad}, which is no address that others could use`,
  );
}

/** `n1=http://a:2380,n2=http://b:2380`; a name may stand several times, once for each of its URLs. */
function initialCluster(reader: SettingReader): readonly InitialMember[] | null {
  const raw = reader.raw("initial-cluster");
  if (raw === undefined) return null;
  const members = new Map<string, string[]>();
  const owners = new Map<string, string>();
  for (const part of raw.text.split(",")) {
    const [, name, url] = /^\s*([^=\s]+)=(.*)$/.exec(part) ?? [];
    if (name === undefined || url === undefined) {
      throw invalid(`${raw.origin}: "${part.trim()}" is not of the form name=http://host:2380`);
    }
    for (const peerUrl of parseUrlList(url, raw.origin)) {
      const owner = owners.get(peerUrl);
      if (owner !== undefined)
        throw invalid(`${raw.origin}: ${owner} and ${name} have the same URL ${peerUrl}`);
      owners.set(peerUrl, name);
      members.set(name, [...(members.get(name) ?? []), peerUrl]);
    }
  }
  if (members.size > MAX_MEMBERS) throw invalid(`${raw.origin}: at most ${MAX_MEMBERS} members are possible`);
  return [...members].map(([name, peerUrls]) => ({ name, peerUrls }));
}

const MAX_MEMBERS = 32;

function checkOwnEntry(
  reader: SettingReader,
  name: string,
  own: readonly string[] | null,
  announced: readonly string[],
): void {
  const origin = reader.label("initial-cluster");
  if (own === null)
    throw invalid(`${origin} does not contain this member's ${reader.label("name")} "${name}"`);
  if (String([...own].sort()) === String([...announced].sort())) return;
  throw invalid(
    `${origin} gives ${name} the URLs ${own.join(", ")}, ` +
      `but ${reader.label("initial-advertise-peer-urls")} says ${announced.join(", ")}`,
  );
}
