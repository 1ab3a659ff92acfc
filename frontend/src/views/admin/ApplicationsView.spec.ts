import { http, HttpResponse } from 'msw'
import { expect, test } from 'vitest'
import { ada, server, signedInAs } from '@/testing/server'
import { visit } from '@/testing/visit'

const application = (n: number) => ({
  id: `a${n}`,
  name: `Application ${n}`,
  clientId: `client-${n}`,
  type: 'web',
  disabled: n === 2,
  updatedAt: '2026-01-01T00:00:00.000Z',
})

test('loads page after page', async () => {
  signedInAs({ ...ada, role: 'admin' })
  server.use(
    http.get('*/api/admin/applications', ({ request }) =>
      new URL(request.url).searchParams.get('cursor') === 'next'
        ? HttpResponse.json({ items: [application(2)], nextCursor: null, total: 2 })
        : HttpResponse.json({ items: [application(1)], nextCursor: 'next', total: 2 }),
    ),
  )
  const page = await visit('/admin/applications')
  await page.sees('Application 1')
  expect(page.text()).not.toContain('Application 2')
  await page.press('Load more')
  await page.sees('Application 2')
  expect(page.text()).toContain('Application 1')
  expect(page.text()).toContain('Disabled')
  expect(page.text()).not.toContain('Load more')
})

test('searches for what the address says, and tells that nothing was found', async () => {
  signedInAs({ ...ada, role: 'superadmin' })
  server.use(
    http.get('*/api/admin/applications', ({ request }) => {
      const query = new URL(request.url).searchParams
      const asked = query.get('search') === 'crm' && query.get('type') === 'spa'
      return HttpResponse.json({ items: asked ? [] : [application(1)], nextCursor: null, total: 0 })
    }),
  )
  const page = await visit('/admin/applications?search=crm&type=spa')
  await page.sees('No application matches')
})

test('tells what to do when there is no application yet', async () => {
  signedInAs({ ...ada, role: 'admin' })
  server.use(http.get('*/api/admin/applications', () => HttpResponse.json({ items: [], nextCursor: null, total: 0 })))
  const page = await visit('/admin/applications')
  await page.sees('Register the first program')
})

test('explains to others that the console is not for them', async () => {
  signedInAs(ada)
  const page = await visit('/admin/applications')
  await page.sees('You have no access to this page')
  expect(page.router.currentRoute.value.path).toBe('/admin/applications')
})
