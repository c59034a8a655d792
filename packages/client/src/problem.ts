/** A problem document as any server may send it (RFC 9457); ours always has `code` and `detail`. */
export interface Problem {
  readonly type?: string;
  readonly title?: string;
  readonly status?: number;
  readonly code?: string;
  readonly detail?: string;
  readonly field?: string;
}

// Ours stay below 2 kB; a page of HTML behind a wrong content type must not fill memory.
const MAX_PROBLEM_CHARS = 65_536;

const TEXT_FIELDS = ["type", "title", "code", "detail", "field"] as const;

/** Returns the document, or undefined when the text is none. */
export function parseProblem(text: string): Problem | undefined {
  if (text.length > MAX_PROBLEM_CHARS) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // A proxy's own error page: the status alone must do.
    return undefined;
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const fields = new Map<string, unknown>(Object.entries(value));
  const problem: { -readonly [K in keyof Problem]: Problem[K] } = {};
  for (const name of TEXT_FIELDS) {
    const field = fields.get(name);
    if (typeof field === "string") problem[name] = field;
  }
  const status = fields.get("status");
  if (typeof status === "number") problem.status = status;
  return problem;
}

/** Reads the problem document of an error response; undefined when it carries none. Leaves no body open. */
export async function readProblem(response: Response): Promise<Problem | undefined> {
  const type = response.headers.get("content-type") ?? "";
  const length = Number(response.headers.get("content-length") ?? 0);
  if (!/[/+]json\b/i.test(type) || length > MAX_PROBLEM_CHARS) {
    // Unread bodies hold their connection; a failed cancel means it is gone already.
    await response.body?.cancel().catch(() => undefined);
    return undefined;
  }
  return parseProblem(await response.text());
}
