import { expect, type BrowserContext } from '@playwright/test'

/** Collects what must not happen on any page: broken policy, errors, and requests that leave this machine. */
export class Watch {
  private found: string[] = []
  private allowed: RegExp[] = []

  async over(context: BrowserContext) {
    await context.addInitScript(() =>
      document.addEventListener('securitypolicyviolation', (e) =>
        console.error(`CSP: ${e.violatedDirective} ${e.blockedURI} ${e.sourceFile}:${e.lineNumber}`),
      ),
    )
    context.on('weberror', (e) => this.found.push(`page error: ${e.error().stack ?? e.error().message}`))
    context.on('console', (m) => {
      if (m.type() === 'error') this.found.push(`console: ${m.text()} (${m.location().url})`)
    })
    context.on('request', (r) => {
      const { protocol, hostname } = new URL(r.url())
      if (/^(https?|wss?):$/.test(protocol) && !['localhost', '127.0.0.1'].includes(hostname))
        this.found.push(`request to ${r.url()}`)
    })
  }

  /** Says that a test provokes this. Chromium writes every answer of 400 and above to the console. */
  allow(...patterns: RegExp[]) {
    this.allowed.push(...patterns)
  }

  /** Fails if something was found that no test asked for. */
  check() {
    const unexpected = this.found.filter((line) => !this.allowed.some((pattern) => pattern.test(line)))
    expect(unexpected, 'errors on the pages').toEqual([])
  }
}

/** What Chromium writes to the console about an answer with this status. */
export const refused = (status: number) => new RegExp(`status of ${status}`)
