/** A fetch that keeps cookies and says which site it comes from, as a page of that site would. */
export class Jar {
  private cookies = new Map<string, string>()

  constructor(readonly origin: string) {}

  readonly fetch: typeof fetch = async (input, init) => {
    const request = new Request(input, init)
    request.headers.set('Origin', this.origin)
    if (this.cookies.size > 0) request.headers.set('Cookie', this.header)
    const answer = await fetch(request)
    answer.headers.getSetCookie().forEach((line) => this.keep(line))
    return answer
  }

  /** Sends JSON and returns the JSON of the answer, which has to have the status. */
  async json<T>(method: string, path: string, body?: unknown, status?: number): Promise<T> {
    const answer = await this.fetch(this.origin + path, {
      method,
      headers: { 'Content-Type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body),
    })
    const text = await answer.text()
    if (status ? answer.status !== status : !answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`)
    return (text ? JSON.parse(text) : undefined) as T
  }

  get header(): string {
    return [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
  }

  private keep(line: string) {
    const [pair = '', ...attributes] = line.split(';').map((part) => part.trim())
    const name = pair.slice(0, pair.indexOf('='))
    const dead = attributes.some((a) => /^max-age=(0|-\d+)$/i.test(a))
    if (dead) this.cookies.delete(name)
    else this.cookies.set(name, pair.slice(name.length + 1))
  }
}
