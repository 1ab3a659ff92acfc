import type { Page } from '@playwright/test'
import { expect, test } from '../support/fixtures'

interface Transfer {
  path: string
  type: string
  /** What came over the wire, headers and all, as the browser counts it. */
  bytes: number
  cached: boolean
}

/** Records what the page loads from now on. Returns what there is so far. */
async function record(page: Page): Promise<() => Transfer[]> {
  const session = await page.context().newCDPSession(page)
  const transfers = new Map<string, Transfer>()
  const cached = new Set<string>()
  session.on('Network.requestServedFromCache', ({ requestId }) => cached.add(requestId))
  session.on('Network.responseReceived', ({ requestId, type, response }) => {
    const fromCache = cached.has(requestId) || Boolean(response.fromDiskCache)
    transfers.set(requestId, { path: new URL(response.url).pathname, type, bytes: 0, cached: fromCache })
  })
  session.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => {
    const transfer = transfers.get(requestId)
    if (transfer) transfer.bytes = encodedDataLength
  })
  await session.send('Network.enable')
  return () => [...transfers.values()]
}

async function visit(page: Page): Promise<Transfer[]> {
  const transfers = await record(page)
  await page.goto('/sign-in')
  await expect(page.getByRole('textbox', { name: 'E-mail address' })).toBeVisible()
  await page.evaluate(() => document.fonts.ready)
  await page.waitForLoadState('networkidle')
  return transfers()
}

test('the first visit to the sign-in page moves at most 200 KB, the second nothing but index.html', async ({
  page,
  context,
}, info) => {
  const first = await visit(page)
  expect(
    first.some(({ type }) => type === 'Font'),
    'the font is counted',
  ).toBe(true)
  expect(first.some(({ cached }) => cached)).toBe(false)
  const total = first.reduce((sum, { bytes }) => sum + bytes, 0)
  info.annotations.push({ type: 'first visit', description: `${total} bytes in ${first.length} requests` })
  expect(total).toBeGreaterThan(50_000) // else nothing was measured
  expect(total, JSON.stringify(first)).toBeLessThanOrEqual(200_000)
  await page.close()

  const second = await visit(await context.newPage())
  const files = second.filter(({ path, cached }) => !cached && !path.startsWith('/api/'))
  expect(files.map(({ path, type }) => `${type} ${path}`)).toEqual(['Document /sign-in'])
})
