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

/** Returns the document, or undefined when the text is no JSON object; which fields it has is the server's word. */
export function parseProblem(text: string): Problem | undefined {
  if (text.length > MAX_PROBLEM_CHARS) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    // A proxy's own error page: the status alone must do.
    return undefined;
  }
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
