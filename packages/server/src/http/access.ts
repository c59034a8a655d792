/**
 * Who may do what.
 *
 * Three modes: tokens signed with `authSecret`, the host's own `authorize`, or neither: then everything is allowed, and the
 * listener refuses to leave loopback.
 *
 * Promises
 * - With tokens, a request without a valid one never reaches a handler, save on routes marked `open`.
 * - A token is read from `Authorization: Bearer`, `?token=` or the cookie `holdfast_token`, in this order, and logged nowhere.
 * - A restriction to a batch holds for what a task really belongs to, not for what the request claims.
 * Refuses with UNAUTHENTICATED (no token, or none of ours) and FORBIDDEN (not this, or not here).
 */
import type { BatchId } from "@holdfast/protocol";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { HoldfastError } from "../errors.js";
import type { Action, Authorize } from "../options.js";
import { verifyToken, type TokenGrant } from "./token.js";

export interface Target {
  readonly taskId?: string | null | undefined;
  /** The batch that something is created in, or that is asked for. */
  readonly batchId?: string | null | undefined;
}

export interface Grant {
  /** Unix milliseconds; a stream ends then. Null: never. */
  readonly expiresAtMs: number | null;
}

declare module "fastify" {
  interface FastifyRequest {
    /** Throws UNAUTHENTICATED, FORBIDDEN. */
    authorize(action: Action, target?: Target): Promise<Grant>;
    /** What the token of this request allows; null where tokens are not used. */
    tokenGrant: TokenGrant | null;
  }
  interface FastifyContextConfig {
    /** Answers without a token: health, the OpenAPI document, the page. */
    readonly open?: boolean;
  }
}

export interface AccessOptions {
  readonly authSecret: string | null;
  readonly authorize: Authorize | null;
  /** Batch of an existing task; null when it has none, undefined when there is no such task. */
  readonly batchOf: (taskId: string) => Promise<BatchId | null | undefined>;
}

const FREE: Grant = { expiresAtMs: null };

export function addAccess(app: FastifyInstance, options: AccessOptions): void {
  const { authSecret, authorize } = options;
  app.decorateRequest("tokenGrant", null);
  app.decorateRequest(
    "authorize",
    async function (this: FastifyRequest, action: Action, target: Target = {}): Promise<Grant> {
      if (authorize !== null) return await askHost(authorize, this, action, target, options);
      if (authSecret === null) return FREE;
      const grant = this.tokenGrant;
      if (grant === null) throw new HoldfastError("UNAUTHENTICATED", "this request needs a token");
      await assertGranted(grant, action, target, options);
      return { expiresAtMs: grant.expiresAtMs };
    },
  );
  if (authSecret === null) return;
  app.addHook("onRequest", async (request) => {
    if (request.routeOptions.config.open === true || request.method === "OPTIONS") return;
    const token = readToken(request);
    if (token === undefined) {
      throw new HoldfastError(
        "UNAUTHENTICATED",
        "this request needs a token: as Authorization: Bearer, as cookie holdfast_token, or as ?token=",
      );
    }
    request.tokenGrant = await verifyToken(token, authSecret);
  });
}

async function askHost(
  authorize: Authorize,
  request: FastifyRequest,
  action: Action,
  target: Target,
  { batchOf }: AccessOptions,
): Promise<Grant> {
  const taskId = target.taskId ?? null;
  const batchId = await effectiveBatch(target, batchOf);
  const answer = await authorize({ action, taskId, batchId, request });
  const allowed: unknown = typeof answer === "boolean" ? answer : answer.allowed;
  if (allowed !== true) throw forbidden(action, target);
  const expiresAt = typeof answer === "boolean" ? undefined : answer.expiresAt;
  return { expiresAtMs: expiresAt === undefined ? null : expiresAt * 1_000 };
}

async function assertGranted(
  grant: TokenGrant,
  action: Action,
  target: Target,
  { batchOf }: AccessOptions,
): Promise<void> {
  if (!grant.scopes.has(action) && !grant.scopes.has("admin")) throw forbidden(action, target);
  if (grant.taskId === null && grant.batchId === null) return;
  if (grant.taskId !== null && grant.taskId !== target.taskId) throw forbidden(action, target);
  const batchId = await effectiveBatch(target, batchOf);
  // A token for one task must not put it into a stranger's batch.
  const mayName = grant.batchId ?? (await effectiveBatch({ taskId: target.taskId }, batchOf));
  if (batchId !== null && batchId !== mayName) throw forbidden(action, target);
  if (grant.batchId !== null && batchId !== grant.batchId) throw forbidden(action, target);
}

/** An existing task's own batch goes before what the request says. */
async function effectiveBatch(target: Target, batchOf: AccessOptions["batchOf"]): Promise<string | null> {
  const { taskId } = target;
  const own = typeof taskId === "string" ? await batchOf(taskId) : undefined;
  return own === undefined ? (target.batchId ?? null) : own;
}

function forbidden(action: Action, { taskId, batchId }: Target): HoldfastError {
  const where =
    typeof taskId === "string"
      ? ` on task ${taskId}`
      : typeof batchId === "string"
        ? ` on batch ${batchId}`
        : " here";
  return new HoldfastError("FORBIDDEN", `${action} is not allowed${where} with this token or login`);
}

function readToken(request: FastifyRequest): string | undefined {
  const { authorization, cookie } = request.headers;
  const bearer = /^Bearer +([A-Za-z0-9._~+/=-]+)$/i.exec(authorization ?? "")?.[1];
  if (bearer !== undefined) return bearer;
  const { token } = request.query as { readonly token?: unknown };
  if (typeof token === "string" && token !== "") return token;
  return /(?:^|;\s*)holdfast_token=([A-Za-z0-9._~+/=-]+)/.exec(cookie ?? "")?.[1];
}
