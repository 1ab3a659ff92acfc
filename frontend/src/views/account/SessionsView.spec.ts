import { http, HttpResponse } from 'msw'
import { expect, test, vi } from 'vitest'
import type { BrowserSession } from '@/api/sessions'
import { ada, problem, server, signedInAs } from '@/testing/server'
import { visit } from '@/testing/visit'

const firefox = 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0'
const iphone =
  'Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.0 Mobile/15E148 Safari/604.1'
const session = (id: string, userAgent: string): BrowserSession => ({
  id,
  token: id,
  userId: ada.id,
  createdAt: '2026-01-01T00:00:00.000Z',
  updatedAt: '2026-01-01T00:00:00.000Z',
  expiresAt: '2026-02-01T00:00:00.000Z',
  ipAddress: '203.0.113.7',
  userAgent,
  activeOrganizationId: null,
  impersonatedBy: null,
})

test('lists this device first and ends another one', async () => {
  signedInAs(ada)
  let sessions = [session('s2', iphone), session('s1', firefox)]
  const ended = vi.fn()
  server.use(
    http.get('*/api/auth/list-sessions', () => HttpResponse.json(sessions)),
    http.post('*/api/auth/revoke-session', async ({ request }) => {
      ended(await request.json())
      sessions = sessions.filter(({ id }) => id !== 's2')
      return HttpResponse.json({ status: true })
    }),
  )
  const page = await visit('/account/sessions')
  await page.sees('Safari on iOS')
  expect(document.querySelector('main ul li')?.textContent).toMatch(/Firefox on Linux.*This device/s)

  await page.press('Sign out Safari on iOS')
  await vi.waitFor(() => expect(page.text()).not.toContain('Safari on iOS'))
  expect(ended).toHaveBeenCalledWith({ token: 's2' })
})

test('says why there is no list, and reads it again', async () => {
  signedInAs(ada)
  server.use(http.get('*/api/auth/list-sessions', () => problem(503, 'UNAVAILABLE')))
  const page = await visit('/account/sessions')
  await page.sees('The service is temporarily unavailable.')
  server.use(http.get('*/api/auth/list-sessions', () => HttpResponse.json([session('s1', firefox)])))
  await page.press('Try again')
  await page.sees('Firefox on Linux')
})

test('goes to the sign-in page when the session has ended meanwhile', async () => {
  signedInAs(ada)
  server.use(http.get('*/api/auth/list-sessions', () => problem(401, 'UNAUTHORIZED')))
  const page = await visit('/account/sessions')
  await vi.waitFor(() => expect(page.router.currentRoute.value.query.return_to).toBe('/account/sessions'))
})
