import type { FastifySchemaValidationError } from "fastify/types/schema.js";
import { HoldfastError } from "../errors.js";

/** What AJV adds in its verbose mode. */
interface VerboseError extends FastifySchemaValidationError {
  readonly data?: unknown;
  readonly parentSchema?: { readonly properties?: object };
}

/** One refusal of the schema as INVALID_FIELD: which field, what was got, what is the bound. */
export function toFieldError(error: FastifySchemaValidationError): HoldfastError {
  const { keyword, instancePath, params, message, data, parentSchema } = error as VerboseError;
  if (keyword === "additionalProperties") {
    const name = String(params["additionalProperty"]);
    const known = Object.keys(parentSchema?.properties ?? {}).join(", ");
    return invalidField(`${instancePath}/${toPointer(name)}`, `is unknown; known are ${known}`);
  }
  if (keyword === "required") {
    const name = String(params["missingProperty"]);
    return invalidField(`${instancePath}/${toPointer(name)}`, "is missing");
  }
  const allowed = keyword === "enum" ? `: ${String(params["allowedValues"])}` : "";
  return invalidField(instancePath, `${message ?? "is not allowed"}${allowed}, got ${toShown(data)}`);
}

/** INVALID_FIELD for a JSON pointer (`/total`), a query parameter or a header. */
export function invalidField(field: string, wrong: string): HoldfastError {
  return new HoldfastError("INVALID_FIELD", `${field === "" ? "the body" : field} ${wrong}`, { field });
}

/** A value as a message shows it, cut short: what a client sent may be a megabyte. */
export function toShown(value: unknown): string {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}

function toPointer(name: string): string {
  return name.slice(0, 80).replaceAll("~", "~0").replaceAll("/", "~1");
}
