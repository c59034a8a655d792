/**
 * Access tokens: JWTs signed with HS256, scoped, expiring, and bound to a task or a batch where their maker says so.
 */
import { parseBatchId, parseTaskId, type BatchId, type TaskId } from "@holdfast/protocol";
import { jwtVerify, SignJWT } from "jose";
import { JWTExpired } from "jose/errors";
import { HoldfastError } from "../errors.js";
import type { Action } from "../options.js";

export interface TokenGrant {
  readonly scopes: ReadonlySet<Action>;
  /** Null: any task. */
  readonly taskId: TaskId | null;
  /** Null: any batch, and tasks of none. */
  readonly batchId: BatchId | null;
  readonly expiresAtMs: number;
}

export interface NewToken {
  /** The server's `authSecret`. */
  readonly secret: string;
  readonly scopes: readonly Action[];
  readonly taskId?: string;
  readonly batchId?: string;
  readonly expiresInSeconds: number;
}

const ACTIONS: readonly Action[] = ["watch", "upload", "produce", "admin"];

/** Makes a token for a browser or a producer. Call it where the secret is, never in a page. */
export async function signToken(token: NewToken): Promise<string> {
  const claims = {
    scope: token.scopes.join(" "),
    ...(token.taskId !== undefined && { task: token.taskId }),
    ...(token.batchId !== undefined && { batch: token.batchId }),
  };
  const nowSeconds = Math.floor(Date.now() / 1_000);
  return await new SignJWT(claims)
    .setProtectedHeader({ alg: "HS256" })
    .setIssuedAt(nowSeconds)
    .setExpirationTime(nowSeconds + token.expiresInSeconds)
    .sign(toKey(token.secret));
}

/** Throws UNAUTHENTICATED. */
export async function verifyToken(token: string, secret: string): Promise<TokenGrant> {
  const claims = await jwtVerify(token, toKey(secret), {
    algorithms: ["HS256"],
    requiredClaims: ["exp"],
  }).then(
    ({ payload }) => payload,
    (cause: unknown) => {
      const wrong =
        cause instanceof JWTExpired ? "has expired; get a new one" : "is not a valid token of this server";
      throw new HoldfastError("UNAUTHENTICATED", `the token ${wrong}`, { cause });
    },
  );
  const { scope, task, batch, exp = 0 } = claims;
  const named = (
    typeof scope === "string" ? scope.split(" ") : Array.isArray(scope) ? scope : []
  ) as readonly unknown[];
  const taskId = task === undefined ? null : parseTaskId(task);
  const batchId = batch === undefined ? null : parseBatchId(batch);
  // A restriction that can't be understood must not become none.
  if (taskId === undefined || batchId === undefined) {
    throw new HoldfastError("UNAUTHENTICATED", "the token is restricted to a task or batch that can't exist");
  }
  return {
    scopes: new Set(ACTIONS.filter((action) => named.includes(action))),
    taskId,
    batchId,
    expiresAtMs: exp * 1_000,
  };
}

function toKey(secret: string): Uint8Array {
  return new TextEncoder().encode(secret);
}
