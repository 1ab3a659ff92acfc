import { test as base, type BrowserContext, type BrowserContextOptions, type Page } from '@playwright/test'
import { createDatabase } from './postgres'
import { AuthServer, type Person } from './server'
import { Watch } from './watch'
import { expect } from '@playwright/test'

export { expect }

interface Fixtures {
  /** Somebody who has an account and is signed in nowhere. */
  person: Person
  /** Guards every page of the test. */
  watch: Watch
  /** Opens another browser, with cookies of its own. */
  newBrowser: (options?: BrowserContextOptions) => Promise<Page>
  /** Signs somebody in to the browser of the page, without the pages for it. */
  signInAs: (person: { email: string; password: string }, page?: Page) => Promise<void>
}

export interface WorkerFixtures {
  server: AuthServer
  /** The database that the server of this worker uses. */
  database: 'sqlite' | 'postgres'
}

export const test = base.extend<Fixtures, WorkerFixtures>({
  database: ['sqlite', { scope: 'worker', option: true }],

  server: [
    async ({ database }, use) => {
      const settings: Record<string, string> = {}
      if (database === 'postgres') settings.AUTH_DATABASE_URL = await createDatabase(process.env.E2E_POSTGRES_URL ?? '')
      const server = await AuthServer.start(settings)
      await use(server)
      await server.stop()
    },
    { scope: 'worker' },
  ],

  watch: [
    async ({ server }, use) => {
      const watch = new Watch()
      const before = server.faults().length
      await use(watch)
      watch.check()
      expect(server.faults().slice(before), 'failures in the log of the server').toEqual([])
    },
    { auto: true },
  ],

  baseURL: async ({ server }, use) => use(server.origin),

  context: async ({ context, watch }, use) => {
    await watch.over(context)
    await use(context)
  },

  newBrowser: async ({ browser, watch, contextOptions, baseURL, locale, timezoneId, viewport }, use) => {
    const opened: BrowserContext[] = []
    await use(async (options) => {
      const context = await browser.newContext({ ...contextOptions, baseURL, locale, timezoneId, viewport, ...options })
      opened.push(context)
      await watch.over(context)
      return context.newPage()
    })
    for (const context of opened) await context.close()
  },

  person: async ({ server }, use) => use(await server.person()),

  signInAs: async ({ server, page: own }, use) => {
    await use(async ({ email, password }, page = own) => {
      const answer = await page.request.post(`${server.origin}/api/auth/sign-in/email`, {
        data: { email, password },
        headers: { Origin: server.origin },
      })
      expect(answer.status(), await answer.text()).toBe(200)
    })
  },
})
