import type { components } from './schema'

type ProblemBody = components['schemas']['Problem']

/** A problem details body (RFC 9457), as package problem writes it; a failure that we find ourselves has less of it. */
export type Problem = Pick<ProblemBody, 'status' | 'code' | 'title'> & Partial<ProblemBody>

/** Thrown for every answer that is not 2xx and for a server that cannot be reached, so callers handle one kind of failure. */
export class ApiError extends Error {
  constructor(
    readonly problem: Problem,
    /** From Retry-After, in seconds. */
    readonly retryAfter?: number,
  ) {
    super(problem.detail ?? problem.title)
    this.name = 'ApiError'
  }
}

let signedOut = () => {}

/** Says what happens when the server no longer knows the session, whichever call finds out. */
export function whenSignedOut(act: () => void) {
  signedOut = act
}

interface Options {
  body?: unknown
  /** Lets the server recognize a repeated POST, so that a double click or a lost answer creates one object. */
  idempotencyKey?: string
}

/** Calls our own API with the session cookie. The only place in the app that touches fetch. */
export async function request<T>(method: string, path: string, { body, idempotencyKey }: Options = {}): Promise<T> {
  const headers: Record<string, string> = { Accept: 'application/json' }
  if (body !== undefined) headers['Content-Type'] = 'application/json'
  if (idempotencyKey) headers['Idempotency-Key'] = idempotencyKey
  const res = await reach(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) })
  if (!res.ok) throw await failure(res)
  return (res.status === 204 ? undefined : await readJson(res)) as T
}

async function reach(path: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(path, init)
  } catch {
    throw new ApiError({ status: 0, code: 'UNREACHABLE', title: 'The server cannot be reached.' })
  }
}

async function failure(res: Response): Promise<ApiError> {
  const problem = await readProblem(res)
  if (problem.code === 'UNAUTHORIZED') signedOut()
  return new ApiError(problem, Number(res.headers.get('Retry-After')) || undefined)
}

async function readJson(res: Response): Promise<unknown> {
  try {
    return await res.json()
  } catch {
    throw new ApiError({ status: res.status, code: 'UNREADABLE', title: 'The answer is not JSON.' })
  }
}

async function readProblem(res: Response): Promise<Problem> {
  const fallback = { status: res.status, code: 'UNREADABLE', title: res.statusText }
  if (!res.headers.get('Content-Type')?.includes('json')) return fallback
  const body: Partial<Problem> | null = await res.json().catch(() => null)
  return { ...fallback, ...body }
}
