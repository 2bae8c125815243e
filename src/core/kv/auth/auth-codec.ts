import type { ByteReader, ByteWriter } from "../../bytes/index.ts";
import { assertNever } from "../../errors/index.ts";
import type { AuthState } from "./auth-store.ts";
import {
  type Access,
  type AuthCommand,
  type Caller,
  MAX_AUTH_NAME_BYTES,
  MAX_PASSWORD_HASH_LENGTH,
  type Permission,
  type Role,
  TOKEN_KEY_BYTES,
  TRUSTED,
  type User,
} from "./types.ts";

/*
 * Changes of users and roles, callers, and the whole of it, as bytes: the first two in commands, the last in
 * snapshots.
 *
 *   change      op u8, body
 *     1 enable              token key: 32 bytes
 *     2 disable             -
 *     3 userAdd             name, hasPassword u8, [hash]
 *     4 userDelete          name
 *     5 userChangePassword  name, hash
 *     6 userGrantRole, 7 userRevokeRole   name, role
 *     8 roleAdd, 9 roleDelete             role
 *     10 roleGrantPermission              role, permission
 *     11 roleRevokePermission             role, key, rangeEnd
 *   permission  access u8 (1 read, 2 write, 3 both), key, rangeEnd
 *   caller      kind u8 (1 trusted, 2 user), and of a user: name, since uint
 *   head        revision uint, isEnabled u8, [token key]
 *   user        name, hasPassword u8, [hash], since uint, number of roles, role each
 *   role        name, number of permissions, permission each
 */

const OPS: readonly AuthCommand["op"][] = [
  "enable",
  "disable",
  "userAdd",
  "userDelete",
  "userChangePassword",
  "userGrantRole",
  "userRevokeRole",
  "roleAdd",
  "roleDelete",
  "roleGrantPermission",
  "roleRevokePermission",
];
const ACCESSES: readonly Access[] = ["read", "write", "readWrite"];
const CALLER_TRUSTED = 1;
const CALLER_USER = 2;
const MIN_PERMISSION_BYTES = 3;

export function writeAuthCommand(writer: ByteWriter, command: AuthCommand): void {
  writer.u8(OPS.indexOf(command.op) + 1);
  switch (command.op) {
    case "enable":
      writer.raw(command.tokenKey);
      return;
    case "disable":
      return;
    case "userAdd":
      writer.string(command.name);
      return writeHash(writer, command.passwordHash);
    case "userDelete":
      writer.string(command.name);
      return;
    case "userChangePassword":
      writer.string(command.name).string(command.passwordHash);
      return;
    case "userGrantRole":
    case "userRevokeRole":
      writer.string(command.name).string(command.role);
      return;
    case "roleAdd":
    case "roleDelete":
      writer.string(command.role);
      return;
    case "roleGrantPermission":
      writer.string(command.role);
      return writePermission(writer, command.permission);
    case "roleRevokePermission":
      writer.string(command.role).bytes(command.key).bytes(command.rangeEnd);
      return;
    default:
      assertNever(command, "change of auth");
  }
}

/** Keys are views of the input. */
export function readAuthCommand(reader: ByteReader): AuthCommand {
  const tag = reader.u8();
  const op = OPS[tag - 1] ?? reader.fail(`unknown change of auth ${tag}`);
  switch (op) {
    case "enable":
      return { op, tokenKey: reader.raw(TOKEN_KEY_BYTES) };
    case "disable":
      return { op };
    case "userAdd":
      return { op, name: readName(reader), passwordHash: readHash(reader) };
    case "userDelete":
      return { op, name: readName(reader) };
    case "userChangePassword":
      return { op, name: readName(reader), passwordHash: reader.string(MAX_PASSWORD_HASH_LENGTH) };
    case "userGrantRole":
    case "userRevokeRole":
      return { op, name: readName(reader), role: readName(reader) };
    case "roleAdd":
    case "roleDelete":
      return { op, role: readName(reader) };
    case "roleGrantPermission":
      return { op, role: readName(reader), permission: readPermission(reader) };
    case "roleRevokePermission":
      return { op, role: readName(reader), key: reader.bytes(), rangeEnd: reader.bytes() };
    default:
      return assertNever(op, "change of auth");
  }
}

/** Of whom there is something to say: an anonymous one is known by saying nothing. */
export function writeCaller(
  writer: ByteWriter,
  caller: Exclude<Caller, { readonly type: "anonymous" }>,
): void {
  if (caller.type === "trusted") writer.u8(CALLER_TRUSTED);
  else writer.u8(CALLER_USER).string(caller.name).uint(caller.since);
}

export function readCaller(reader: ByteReader): Exclude<Caller, { readonly type: "anonymous" }> {
  const kind = reader.u8();
  if (kind === CALLER_TRUSTED) return TRUSTED as Extract<Caller, { type: "trusted" }>;
  if (kind !== CALLER_USER) reader.fail(`unknown caller ${kind}`);
  return { type: "user", name: readName(reader), since: reader.uint() };
}

export function writeAuthHead(writer: ByteWriter, { revision, tokenKey }: AuthState): void {
  writer.uint(revision).bool(tokenKey !== null);
  if (tokenKey !== null) writer.raw(tokenKey);
}

export function readAuthHead(reader: ByteReader): Pick<AuthState, "revision" | "tokenKey"> {
  const revision = reader.uint();
  if (revision < 1) reader.fail("an auth revision of 0");
  return { revision, tokenKey: reader.bool() ? reader.raw(TOKEN_KEY_BYTES).slice() : null };
}

export function writeUser(writer: ByteWriter, { name, passwordHash, since, roles }: User): void {
  writer.string(name);
  writeHash(writer, passwordHash);
  writer.uint(since).uint(roles.length);
  for (const role of roles) writer.string(role);
}

export function readUser(reader: ByteReader): User {
  const name = readName(reader);
  const passwordHash = readHash(reader);
  const since = reader.uint();
  const roles: string[] = [];
  for (let left = reader.count(1); left > 0; left--) roles.push(readName(reader));
  return { name, passwordHash, since, roles };
}

export function writeRole(writer: ByteWriter, { name, permissions }: Role): void {
  writer.string(name).uint(permissions.length);
  for (const permission of permissions) writePermission(writer, permission);
}

/** A copy: it outlives the input. */
export function readRole(reader: ByteReader): Role {
  const name = readName(reader);
  const permissions: Permission[] = [];
  for (let left = reader.count(MIN_PERMISSION_BYTES); left > 0; left--) {
    const { access, key, rangeEnd } = readPermission(reader);
    permissions.push({ access, key: key.slice(), rangeEnd: rangeEnd.slice() });
  }
  return { name, permissions };
}

function writePermission(writer: ByteWriter, { access, key, rangeEnd }: Permission): void {
  writer
    .u8(ACCESSES.indexOf(access) + 1)
    .bytes(key)
    .bytes(rangeEnd);
}

function readPermission(reader: ByteReader): Permission {
  const tag = reader.u8();
  const access = ACCESSES[tag - 1] ?? reader.fail(`unknown access ${tag}`);
  return { access, key: reader.bytes(), rangeEnd: reader.bytes() };
}

function writeHash(writer: ByteWriter, hash: string | null): void {
  writer.bool(hash !== null);
  if (hash !== null) writer.string(hash);
}

function readHash(reader: ByteReader): string | null {
  return reader.bool() ? reader.string(MAX_PASSWORD_HASH_LENGTH) : null;
}

function readName(reader: ByteReader): string {
  const name = reader.string(MAX_AUTH_NAME_BYTES);
  return name === "" ? reader.fail("a user or a role has no name") : name;
}
