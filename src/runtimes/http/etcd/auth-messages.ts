import type { Permission } from "../../../core/kv/index.ts";
import {
  bool,
  bytes,
  enumOf,
  list,
  type Message,
  message,
  nested,
  text,
  texts,
  uint64,
} from "../codec/schema.ts";
import { header, type HeaderMessage } from "./kv-messages.ts";

/*
 * etcdserverpb's Auth messages and authpb's permissions. Messages of the same shape are described once.
 */

export interface NameMessage {
  readonly name: string;
}

export interface RoleMessage {
  readonly role: string;
}

export interface CredentialsMessage extends NameMessage {
  readonly password: string;
}

export interface UserAddMessage extends CredentialsMessage {
  readonly options: { readonly noPassword: boolean } | null;
}

export interface UserRoleMessage {
  readonly user: string;
  readonly role: string;
}

export interface GrantPermissionMessage extends NameMessage {
  readonly perm: Permission | null;
}

export interface RevokePermissionMessage extends RoleMessage {
  readonly key: Uint8Array;
  readonly rangeEnd: Uint8Array;
}

export interface AuthStatusReply {
  readonly header: HeaderMessage;
  readonly enabled: boolean;
  readonly authRevision: number;
}

export interface AuthenticateReply {
  readonly header: HeaderMessage;
  readonly token: string;
}

/** Of UserGet: roles. Of the lists: users, or roles. */
export interface NamesReply {
  readonly header: HeaderMessage;
  readonly names: readonly string[];
}

export interface RoleGetReply {
  readonly header: HeaderMessage;
  readonly perm: readonly Permission[];
}

const NOTHING: Uint8Array = new Uint8Array(0);

export const permission: Message<Permission> = message<Permission>(
  "Permission",
  () => ({ access: "read", key: NOTHING, rangeEnd: NOTHING }),
  {
    access: {
      ...enumOf(1, "Permission.Type", { read: "READ", write: "WRITE", readWrite: "READWRITE" }),
      name: "permType",
    },
    key: bytes(2),
    rangeEnd: bytes(3),
  },
);

const userAddOptions: Message<{ readonly noPassword: boolean }> = message<{ readonly noPassword: boolean }>(
  "UserAddOptions",
  () => ({ noPassword: false }),
  { noPassword: bool(1) },
);

/** AuthUserGetRequest, AuthUserDeleteRequest and AuthRoleAddRequest. */
export const nameRequest: Message<NameMessage> = message<NameMessage>(
  "AuthNameRequest",
  () => ({ name: "" }),
  {
    name: text(1),
  },
);

/** AuthRoleGetRequest and AuthRoleDeleteRequest. */
export const roleRequest: Message<RoleMessage> = message<RoleMessage>(
  "AuthRoleRequest",
  () => ({ role: "" }),
  {
    role: text(1),
  },
);

/** AuthenticateRequest and AuthUserChangePasswordRequest. */
export const credentialsRequest: Message<CredentialsMessage> = message<CredentialsMessage>(
  "AuthenticateRequest",
  () => ({ name: "", password: "" }),
  { name: text(1), password: text(2) },
);

export const userAddRequest: Message<UserAddMessage> = message<UserAddMessage>(
  "AuthUserAddRequest",
  () => ({ name: "", password: "", options: null }),
  { name: text(1), password: text(2), options: nested(3, () => userAddOptions) },
);

export const userGrantRoleRequest: Message<UserRoleMessage> = message<UserRoleMessage>(
  "AuthUserGrantRoleRequest",
  () => ({ user: "", role: "" }),
  { user: text(1), role: text(2) },
);

export const userRevokeRoleRequest: Message<UserRoleMessage> = message<UserRoleMessage>(
  "AuthUserRevokeRoleRequest",
  () => ({ user: "", role: "" }),
  { user: text(1, "name"), role: text(2) },
);

export const grantPermissionRequest: Message<GrantPermissionMessage> = message<GrantPermissionMessage>(
  "AuthRoleGrantPermissionRequest",
  () => ({ name: "", perm: null }),
  { name: text(1), perm: nested(2, () => permission) },
);

export const revokePermissionRequest: Message<RevokePermissionMessage> = message<RevokePermissionMessage>(
  "AuthRoleRevokePermissionRequest",
  () => ({ role: "", key: NOTHING, rangeEnd: NOTHING }),
  { role: text(1), key: bytes(2), rangeEnd: bytes(3) },
);

export const authStatusReply: Message<AuthStatusReply> = message<AuthStatusReply>(
  "AuthStatusResponse",
  () => ({ header: {}, enabled: false, authRevision: 0 }),
  { header: nested(1, () => header), enabled: bool(2), authRevision: uint64(3, "authRevision") },
);

export const authenticateReply: Message<AuthenticateReply> = message<AuthenticateReply>(
  "AuthenticateResponse",
  () => ({ header: {}, token: "" }),
  { header: nested(1, () => header), token: text(2) },
);

/** AuthUserGetResponse and AuthRoleListResponse. */
export const rolesReply: Message<NamesReply> = namesReply("AuthRoleListResponse", "roles");
export const usersReply: Message<NamesReply> = namesReply("AuthUserListResponse", "users");

export const roleGetReply: Message<RoleGetReply> = message<RoleGetReply>(
  "AuthRoleGetResponse",
  () => ({ header: {}, perm: [] }),
  { header: nested(1, () => header), perm: list(2, () => permission) },
);

function namesReply(name: string, field: string): Message<NamesReply> {
  return message<NamesReply>(name, () => ({ header: {}, names: [] }), {
    header: nested(1, () => header),
    names: texts(2, field),
  });
}
