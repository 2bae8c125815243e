import { open, rename, rm, stat } from "node:fs/promises";
import { EngineError } from "../../../core/errors/index.ts";
import { BackupReader, type BackupSummary } from "../../../core/node/index.ts";
import { formatId } from "../../http/peer/index.ts";
import { type CheckedBackup, checkBackup } from "../backup/read-backup.ts";
import { restoreBackup } from "../backup/restore-backup.ts";
import type { OptionTable } from "../config/arguments.ts";
import { foundingMembers } from "../config/cluster-addresses.ts";
import { invalid, type RawValue } from "../config/raw-settings.ts";
import { groupId, initialClusterToken, storageLocations } from "../config/server-config.ts";
import { SettingReader } from "../config/setting-reader.ts";
import { nodeLogger } from "../node-logger.ts";
import { describeStorage } from "../storage/describe-storage.ts";
import { StreamEnd } from "./api-client.ts";
import type { ClientContext } from "./client-options.ts";
import { CliError, ExitCode } from "./exit-codes.ts";
import { exactly } from "./kv-commands.ts";
import { megabytes, Progress } from "./progress.ts";
import { bytes, integer } from "./replies.ts";
import { table } from "./terminal.ts";

const RESTORE_SETTINGS = [
  "name",
  "data-dir",
  "storage",
  "storage-meta",
  "initial-cluster",
  "initial-cluster-token",
  "initial-advertise-peer-urls",
  "group",
  "bump-revision",
] as const;
const MARK_COMPACTED = "mark-compacted";

export const SNAPSHOT_OPTIONS: OptionTable = new Map<string, "value" | "switch">([
  ...RESTORE_SETTINGS.map((name) => [name, "value"] as const),
  [MARK_COMPACTED, "switch"],
]);

export const SNAPSHOT_HELP = `d-engine snapshot save <file>
d-engine snapshot status <file>
d-engine snapshot restore <file> --name=<name> --initial-cluster=<members> [--data-dir=<dir> | --storage=<url>]

save writes the state of one member to a file, while it goes on working: every write that was acknowledged when it
began is in it, if that member had heard of it. The file appears when it is complete and its SHA-256 has been checked.
status reads a file to its end and says what is in it. restore makes the data directory, or the objects, of one member
of a new cluster that begins with what is in the file: run it for each of them, with the same file, and with the settings
that the member will be started with. The new cluster has other ids than the old one, whose members it refuses. The
format is d-engine's own: etcd's files cannot be restored here, nor ours there.

Clients that have seen later revisions of the old cluster than the file has would take what comes for what they know.
Where there are any, give --bump-revision more than may have been written since, with --mark-compacted: watches that go on
from the old cluster then end as compacted, and whoever keeps a copy of the state reads it anew.

Options of restore
  --name <name>                         the member's name (default default)
  --data-dir <dir>                      must not be there, or be empty (default <name>.d-engine)
  --storage <url>                       as for serve, instead: sqlite:DIR, s3://..., gs://..., r2://..., dynamodb://...;
                                        there must be nothing of this member yet
  --storage-meta <url>                  as for serve
  --initial-cluster <members>           name=peer-url,name=peer-url,... (default this member alone)
  --initial-cluster-token <text>        (default d-engine-cluster)
  --initial-advertise-peer-urls <urls>  where other members reach this one (default as in --initial-cluster)
  --group <id>                          (default default)
  --bump-revision <n>                   go on counting so many revisions later; the same for all members
  --mark-compacted                      with all history before that compacted; belongs to --bump-revision
`;

export async function snapshot(context: ClientContext): Promise<ExitCode> {
  const [action, ...rest] = context.positionals;
  const run = action === undefined ? undefined : ACTIONS.get(action);
  if (run === undefined) {
    throw invalid(
      `snapshot takes ${[...ACTIONS.keys()].join(", ")}${action === undefined ? "" : `, not "${action}"`}`,
    );
  }
  if (action !== "restore") {
    const given = (name: string): boolean => context.option(name) !== undefined || context.has(name);
    const stray = [...RESTORE_SETTINGS, MARK_COMPACTED].find(given);
    if (stray !== undefined) throw invalid(`--${stray} belongs to snapshot restore`);
  }
  return await run({ ...context, positionals: rest });
}

const ACTIONS: ReadonlyMap<string, (context: ClientContext) => Promise<ExitCode>> = new Map([
  ["save", save],
  ["status", status],
  ["restore", restore],
]);

async function save(context: ClientContext): Promise<ExitCode> {
  const [file] = exactly(context, ["file"]);
  const problems: string[] = [];
  for (const endpoint of context.api.endpoints) {
    try {
      const saved = await saveFrom(context, endpoint, file);
      print(context, { file, endpoint, ...summaryJson(saved) }, `Snapshot saved at ${file}\n`);
      return ExitCode.ok;
    } catch (error) {
      if (!(error instanceof StreamEnd)) throw fileProblem(file, error);
      if (!error.elsewhere) throw new CliError(error.message, ExitCode.failed);
      problems.push(`${endpoint}: ${error.message}`);
    }
  }
  throw new CliError(problems.join("\n"), ExitCode.unreachable);
}

/** The state of the member at one endpoint. The file is made only when all of it has come. */
async function saveFrom(
  { api, terminal }: ClientContext,
  endpoint: string,
  file: string,
): Promise<BackupSummary> {
  const unfinished = `${file}.part`;
  const handle = await open(unfinished, "w", 0o600);
  let progress: Progress | null = null;
  try {
    const reader = new BackupReader(() => {});
    for await (const reply of api.stream(endpoint, "/v3/maintenance/snapshot", {}, true)) {
      const blob = bytes(reply, "blob");
      const remaining = Number(integer(reply, "remaining_bytes"));
      progress ??= new Progress(terminal, "saving", remaining + blob.length);
      reader.push(blob);
      for (let at = 0; at < blob.length;) at += (await handle.write(blob, at)).bytesWritten;
      progress.advance(blob.length);
      if (remaining === 0) break;
    }
    const summary = reader.finish();
    await handle.sync();
    await handle.close();
    await rename(unfinished, file);
    return summary;
  } catch (error) {
    await handle.close();
    await rm(unfinished, { force: true });
    throw error;
  } finally {
    progress?.end();
  }
}

async function status(context: ClientContext): Promise<ExitCode> {
  const [file] = exactly(context, ["file"]);
  const found = await reading(context, file, "checking", 1, (onProgress) => checkBackup(file, onProgress));
  const created = new Date(found.createdMs).toISOString();
  const rows = [
    [
      hash(found),
      String(found.revision),
      String(found.keys),
      megabytes(found.bytes),
      formatId(found.clusterId),
      formatId(found.memberId),
      created,
    ],
  ];
  const headings = ["HASH", "REVISION", "KEYS", "SIZE", "CLUSTER", "MEMBER", "CREATED"];
  print(context, { file, ...checkedJson(found) }, table(headings, rows));
  return ExitCode.ok;
}

async function restore(context: ClientContext): Promise<ExitCode> {
  const [file] = exactly(context, ["file"]);
  const settings = new Map<string, RawValue>();
  for (const name of RESTORE_SETTINGS) {
    const text = context.option(name);
    if (text !== undefined) settings.set(name, { text, origin: `--${name}` });
  }
  const reader = new SettingReader(settings);
  const { name, initialCluster } = foundingMembers(reader);
  const { storage, storageMeta } = storageLocations(reader, name);
  const config = {
    name,
    storage,
    storageMeta,
    initialClusterToken: initialClusterToken(reader),
    groupId: groupId(reader),
  };
  const bumpRevision = reader.number("bump-revision", BUMPS, 0);
  if (bumpRevision > 0 !== context.has(MARK_COMPACTED)) {
    throw invalid(
      "--bump-revision and --mark-compacted go together: history between the two would be missing",
    );
  }
  const logger = nodeLogger({ level: "error", format: "text" });
  const main = reader.label(reader.has("storage") ? "storage" : "data-dir");
  const labels = [main, reader.label("storage-meta")] as const;
  const { identity, backup, revision } = await reading(context, file, "restoring", 2, (onProgress) =>
    restoreBackup({ ...config, file, initialCluster, bumpRevision, logger, onProgress, settings: labels }),
  );
  const [cluster, member] = [formatId(identity.clusterId), formatId(identity.nodeId)];
  const place = describeStorage(config);
  print(
    context,
    {
      ...(storage.type === "sqlite" ? { dataDir: storage.dir } : {}),
      storage: place,
      name,
      cluster_id: String(identity.clusterId),
      member_id: String(identity.nodeId),
      ...checkedJson(backup),
      ...(bumpRevision > 0 ? { revision, compact_revision: revision } : {}),
    },
    `Member ${member} of the new cluster ${cluster} is in ${place}, with ${backup.keys} keys at revision ` +
      `${revision}.\nRestore the other members from the same file, and start each as usual.\n`,
  );
  return ExitCode.ok;
}

/** etcd's goes up to 10^18; a revision here is a safe integer, and this is a thousand a second for 3,000 years. */
const BUMPS = { min: 0, max: 1e14, unit: "revisions" } as const;

/** @param times how often the file is read. */
async function reading<T>(
  { terminal }: ClientContext,
  file: string,
  what: string,
  times: number,
  work: (onProgress: (bytes: number) => void) => Promise<T>,
): Promise<T> {
  let progress: Progress | null = null;
  try {
    progress = new Progress(terminal, what, (await stat(file)).size * times);
    return await work((count) => progress?.advance(count));
  } catch (error) {
    throw fileProblem(file, error);
  } finally {
    progress?.end();
  }
}

/** What is wrong with a file, or with the disk; anything else as it is. */
function fileProblem(file: string, error: unknown): unknown {
  if (error instanceof EngineError && error.code !== "invalidConfig") {
    const ofFile = error.code === "malformed" || error.code === "storageCorrupt";
    const text = ofFile ? `${file}: ${error.detail ?? error.message}` : error.message;
    return new CliError(text, ExitCode.failed);
  }
  const isOfTheSystem = error instanceof Error && "syscall" in error;
  return isOfTheSystem ? new CliError(error.message, ExitCode.failed) : error;
}

function hash({ digest }: BackupSummary): string {
  return Buffer.from(digest).toString("hex").slice(0, 8);
}

function summaryJson(backup: BackupSummary): object {
  return {
    sha256: Buffer.from(backup.digest).toString("hex"),
    revision: backup.revision,
    totalSize: backup.bytes,
    snapshot_cluster_id: String(backup.clusterId),
    snapshot_member_id: String(backup.memberId),
    created: new Date(backup.createdMs).toISOString(),
  };
}

function checkedJson(backup: CheckedBackup): object {
  const { keys: totalKey, compactRevision: compact_revision, leases } = backup;
  return { ...summaryJson(backup), totalKey, compact_revision, leases };
}

function print(context: ClientContext, json: object, text: string): void {
  context.terminal.out(context.has("json") ? `${JSON.stringify(json)}\n` : text);
}
