import { compareBytes } from "../../bytes/index.ts";
import { assert, EngineError, type ErrorCode } from "../../errors/index.ts";
import { isSingleKey, keyRange } from "../key.ts";
import {
  type AuthCommand,
  MAX_AUTH_NAME_BYTES,
  MAX_PASSWORD_HASH_LENGTH,
  type Permission,
  TOKEN_KEY_BYTES,
} from "./types.ts";

/**
 * What can be said against a change of users and roles without looking at them.
 *
 * @throws EngineError `userEmpty`, `roleEmpty`, `invalidAuthManagement`, `invalidArgument`.
 */
export function validateAuthCommand(command: AuthCommand): void {
  switch (command.op) {
    case "enable":
      assert(command.tokenKey.length === TOKEN_KEY_BYTES, "a token key of another length");
      return;
    case "disable":
      return;
    case "userAdd":
      if (command.passwordHash !== null) requireHash(command.passwordHash);
      return requireName(command.name, "userEmpty");
    case "userChangePassword":
      requireHash(command.passwordHash);
      return requireName(command.name, "userEmpty");
    case "userDelete":
      return requireName(command.name, "userEmpty");
    case "userGrantRole":
    case "userRevokeRole":
      requireName(command.name, "userEmpty");
      return requireName(command.role, "roleEmpty");
    case "roleAdd":
    case "roleDelete":
      return requireName(command.role, "roleEmpty");
    case "roleGrantPermission":
      requireName(command.role, "roleEmpty");
      return requireRange(command.permission);
    case "roleRevokePermission":
      return requireName(command.role, "roleEmpty");
  }
}

/** @throws EngineError `empty` for no name, `invalidArgument` for one that cannot be stored. */
function requireName(name: string, empty: ErrorCode): void {
  if (name === "") throw new EngineError(empty);
  if (!name.isWellFormed() || new TextEncoder().encode(name).length > MAX_AUTH_NAME_BYTES) {
    throw new EngineError("invalidArgument", {
      detail: `a name must be of at most ${MAX_AUTH_NAME_BYTES} bytes of Unicode text`,
    });
  }
}

function requireHash(hash: string): void {
  assert(/^[\x21-\x7e]+$/.test(hash) && hash.length <= MAX_PASSWORD_HASH_LENGTH, "this is no password hash");
}

/** As in etcd since 3.6, a range that is none is refused, and not kept as a permission that never matches. */
function requireRange({ key, rangeEnd }: Permission): void {
  if (isSingleKey(rangeEnd)) {
    if (key.length === 0) throw new EngineError("invalidAuthManagement", { detail: "the key is empty" });
    return;
  }
  const { to } = keyRange(key, rangeEnd);
  if (to !== null && compareBytes(key, to) >= 0) {
    throw new EngineError("invalidAuthManagement", { detail: "the range ends before it begins" });
  }
}
