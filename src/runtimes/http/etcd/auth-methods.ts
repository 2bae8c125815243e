import { EngineError } from "../../../core/errors/index.ts";
import type { AuthChange, Engine, WithHeader } from "../../../core/node/index.ts";
import { hashPassword } from "../auth/password-hash.ts";
import type { Message } from "../codec/index.ts";
import * as auth from "./auth-messages.ts";
import { emptyRequest } from "./cluster-messages.ts";
import { type HeaderReply, headerReply } from "./kv-messages.ts";
import { type Method, method } from "./method.ts";

const service = "etcdserverpb.Auth";

/** etcd's users and roles. Passwords end here: what goes on is their hashes. */
export const AUTH_METHODS: readonly Method[] = [
  change("AuthEnable", "/auth/enable", emptyRequest, () => ({ op: "enable" })),
  change("AuthDisable", "/auth/disable", emptyRequest, () => ({ op: "disable" })),
  method({
    service,
    rpc: "AuthStatus",
    path: "/auth/status",
    request: emptyRequest,
    response: auth.authStatusReply,
    call: (engine) => engine.auth.status(),
  }),
  method({
    service,
    rpc: "Authenticate",
    path: "/auth/authenticate",
    request: auth.credentialsRequest,
    response: auth.authenticateReply,
    call: async (engine, { name, password }: auth.CredentialsMessage, { accounts }) => {
      const token = await accounts.logIn(name, password);
      return { header: engine.header(), token };
    },
  }),
  change("UserAdd", "/auth/user/add", auth.userAddRequest, async (engine, request: auth.UserAddMessage) => {
    const { name, password, options } = request;
    const passwordHash = options?.noPassword === true ? null : await hashFor(engine, password);
    return { op: "userAdd", name, passwordHash };
  }),
  method({
    service,
    rpc: "UserGet",
    path: "/auth/user/get",
    request: auth.nameRequest,
    response: auth.rolesReply,
    call: async (engine, { name }: auth.NameMessage) => {
      const { roles, header } = await engine.auth.userRoles(name);
      return { header, names: roles };
    },
  }),
  method({
    service,
    rpc: "UserList",
    path: "/auth/user/list",
    request: emptyRequest,
    response: auth.usersReply,
    call: (engine) => engine.auth.users(),
  }),
  change("UserDelete", "/auth/user/delete", auth.nameRequest, (_engine, { name }: auth.NameMessage) => ({
    op: "userDelete",
    name,
  })),
  change(
    "UserChangePassword",
    "/auth/user/changepw",
    auth.credentialsRequest,
    async (engine, { name, password }: auth.CredentialsMessage) => {
      const passwordHash = await hashFor(engine, password);
      return { op: "userChangePassword", name, passwordHash };
    },
  ),
  change(
    "UserGrantRole",
    "/auth/user/grant",
    auth.userGrantRoleRequest,
    (_engine, { user: name, role }: auth.UserRoleMessage) => ({ op: "userGrantRole", name, role }),
  ),
  change(
    "UserRevokeRole",
    "/auth/user/revoke",
    auth.userRevokeRoleRequest,
    (_engine, { user: name, role }: auth.UserRoleMessage) => ({ op: "userRevokeRole", name, role }),
  ),
  change("RoleAdd", "/auth/role/add", auth.nameRequest, (_engine, { name: role }: auth.NameMessage) => ({
    op: "roleAdd",
    role,
  })),
  method({
    service,
    rpc: "RoleGet",
    path: "/auth/role/get",
    request: auth.roleRequest,
    response: auth.roleGetReply,
    call: async (engine, { role }: auth.RoleMessage) => {
      const { permissions, header } = await engine.auth.rolePermissions(role);
      return { header, perm: permissions };
    },
  }),
  method({
    service,
    rpc: "RoleList",
    path: "/auth/role/list",
    request: emptyRequest,
    response: auth.rolesReply,
    call: (engine) => engine.auth.roles(),
  }),
  change("RoleDelete", "/auth/role/delete", auth.roleRequest, (_engine, { role }: auth.RoleMessage) => ({
    op: "roleDelete",
    role,
  })),
  change(
    "RoleGrantPermission",
    "/auth/role/grant",
    auth.grantPermissionRequest,
    (_engine, { name: role, perm: permission }: auth.GrantPermissionMessage) => {
      if (permission === null) throw new EngineError("permissionNotGiven");
      return { op: "roleGrantPermission", role, permission };
    },
  ),
  change(
    "RoleRevokePermission",
    "/auth/role/revoke",
    auth.revokePermissionRequest,
    (_engine, request: auth.RevokePermissionMessage) => ({ op: "roleRevokePermission", ...request }),
  ),
];

function change<Req>(
  rpc: string,
  path: string,
  request: Message<Req>,
  changeOf: (engine: Engine, request: Req) => AuthChange | Promise<AuthChange>,
): Method {
  return method<Req, HeaderReply>({
    service,
    rpc,
    path,
    request,
    response: headerReply,
    call: async (engine, asked): Promise<WithHeader> => engine.auth.change(await changeOf(engine, asked)),
  });
}

/** Hashing is work that only those may give us who may use its result. */
async function hashFor(engine: Engine, password: string): Promise<string> {
  if (password === "") {
    throw new EngineError("invalidArgument", {
      detail: "the password is empty: whoever is to have none is added with options.no_password",
    });
  }
  engine.auth.requireRoot();
  return await hashPassword(password);
}
