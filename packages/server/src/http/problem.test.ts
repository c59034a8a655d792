import { ERROR_STATUS, type ErrorCode } from "@holdfast/protocol";
import { expect, test } from "vitest";
import { HoldfastError } from "../errors.js";
import { problemHeaders, toHoldfastError, toProblem } from "./problem.js";

test("every code makes a whole problem document", () => {
  for (const code of Object.keys(ERROR_STATUS) as ErrorCode[]) {
    const problem = toProblem(new HoldfastError(code, "why"));
    expect(problem).toEqual({
      type: `urn:holdfast:error:${code}`,
      title: expect.stringMatching(/^[A-Z][a-zA-Z0-9 /.]+$/),
      status: ERROR_STATUS[code],
      code,
      detail: "why",
    });
  }
});

test("an error that is not ours says nothing of itself, and keeps its cause for the log", () => {
  const cause = new Error("password is hunter2");
  const error = toHoldfastError(cause);
  expect(error).toMatchObject({ code: "INTERNAL", status: 500, cause });
  expect(JSON.stringify(toProblem(error))).not.toContain("hunter2");
  expect(toHoldfastError("a thrown text").code).toBe("INTERNAL");
});

test("an error of a plugin with a client's status keeps it; one with a server's status does not", () => {
  expect(toHoldfastError(Object.assign(new Error("no such range"), { statusCode: 416 })).code).toBe(
    "RANGE_NOT_SATISFIABLE",
  );
  expect(toHoldfastError(Object.assign(new Error("teapot"), { statusCode: 418 })).code).toBe(
    "INVALID_REQUEST",
  );
  expect(toHoldfastError(Object.assign(new Error("bad gateway"), { statusCode: 502 })).code).toBe("INTERNAL");
});

test("Retry-After and WWW-Authenticate go where they belong", () => {
  expect(problemHeaders(new HoldfastError("DRAINING", "why", { retryAfterSeconds: 2 }))).toMatchObject({
    "Retry-After": "2",
  });
  expect(problemHeaders(new HoldfastError("UNAUTHENTICATED", "why"))).toMatchObject({
    "WWW-Authenticate": 'Bearer realm="holdfast"',
  });
  expect(problemHeaders(new HoldfastError("FORBIDDEN", "why"))).not.toHaveProperty("WWW-Authenticate");
});
