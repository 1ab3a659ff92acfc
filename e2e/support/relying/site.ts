import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

type Answer = { status?: number; headers?: Record<string, string>; body?: string }
export type Handler = (url: URL, request: IncomingMessage) => Answer | undefined | Promise<Answer | undefined>

/**
 * A web site of its own on a free port. Its host is 127.0.0.1 while the server's is localhost, so for browsers it is
 * another site, whose cookies and requests are kept apart as they are in the world.
 */
export class Site {
  private constructor(
    private readonly http: Server,
    readonly origin: string,
  ) {}

  static async start(handler: Handler, host = '127.0.0.1'): Promise<Site> {
    const http = createServer((request, response) => void respond(handler, request, response))
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
    const site = new Site(http, `http://${host}:${(http.address() as AddressInfo).port}`)
    http.unref()
    return site
  }

  async stop() {
    this.http.closeAllConnections()
    await new Promise((resolve) => this.http.close(resolve))
  }
}

async function respond(handler: Handler, request: IncomingMessage, response: ServerResponse) {
  try {
    const answer = (await handler(new URL(request.url ?? '/', `http://${request.headers.host}`), request)) ?? {
      status: 204,
    }
    response.writeHead(answer.status ?? 200, { 'Content-Type': 'text/html; charset=utf-8', ...answer.headers })
    response.end(answer.body)
  } catch (error) {
    response.writeHead(500, { 'Content-Type': 'text/plain' })
    response.end(error instanceof Error ? error.stack : String(error))
  }
}

export async function bodyOf(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = []
  for await (const part of request) parts.push(part as Buffer)
  return Buffer.concat(parts).toString()
}

export const redirect = (location: string): Answer => ({ status: 302, headers: { Location: location } })

/** A page that says how it went, for people, and in JSON, for tests. */
export function resultPage(heading: string, result: unknown): Answer {
  const text = (value: string) => value.replace(/&/g, '&amp;').replace(/</g, '&lt;')
  return {
    body: `<!doctype html><html lang="en"><title>Client</title><link rel="icon" href="data:,"><h1>${text(heading)}</h1><pre>${text(JSON.stringify(result))}</pre></html>`,
  }
}
