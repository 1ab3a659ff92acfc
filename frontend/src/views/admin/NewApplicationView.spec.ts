import { http, HttpResponse } from 'msw'
import { expect, test, vi } from 'vitest'
import { ada, problem, server, signedInAs } from '@/testing/server'
import { visit } from '@/testing/visit'

const created = {
  id: 'a1',
  slug: 'acme-crm',
  name: 'Acme CRM',
  type: 'web',
  clientId: 'crm-1',
  clientSecret: 'shown-only-now',
  redirectUris: ['https://crm.example.com/callback'],
  scopes: ['openid', 'email'],
  tokenEndpointAuthMethod: 'client_secret_basic',
}

function answers(answer: () => Response) {
  const calls: { key: string | null; body: unknown }[] = []
  signedInAs({ ...ada, role: 'admin' })
  server.use(
    http.post('*/api/admin/applications', async ({ request }) => {
      calls.push({ key: request.headers.get('Idempotency-Key'), body: await request.json() })
      return answer() as HttpResponse<null>
    }),
  )
  return calls
}

test('creates an application and shows its secret and code with the real values', async () => {
  const calls = answers(() => HttpResponse.json(created, { status: 201 }))
  const page = await visit('/admin/applications/new')
  await page.fill('Name', 'Acme CRM')
  await page.press('Create application')
  await page.sees('shown-only-now')
  expect(page.text()).toContain("'crm-1'")
  expect(page.text()).toContain('https://crm.example.com/callback')
  expect(calls[0]?.body).toEqual({
    type: 'web',
    name: 'Acme CRM',
    redirectUris: [],
    scopes: ['openid', 'profile', 'email', 'offline_access'],
    skipConsent: false,
  })
})

// A lost answer must not leave a second application behind: the repeated request carries the same key.
test('repeats a failed request under the same key, and a changed one under another', async () => {
  const calls = answers(() => problem(503, 'UNAVAILABLE'))
  const page = await visit('/admin/applications/new')
  await page.fill('Name', 'Acme CRM')
  await page.press('Create application')
  await page.sees('temporarily unavailable')
  await page.press('Create application')
  await vi.waitFor(() => expect(calls).toHaveLength(2))
  expect(calls[0]?.key).toBeTruthy()
  expect(calls[1]?.key).toBe(calls[0]?.key)

  await page.fill('Name', 'Acme CRM 2')
  await page.press('Create application')
  await vi.waitFor(() => expect(calls).toHaveLength(3))
  expect(calls[2]?.key).not.toBe(calls[0]?.key)
})

test('asks for a name before it asks the server', async () => {
  const calls = answers(() => HttpResponse.json(created))
  const page = await visit('/admin/applications/new')
  await page.press('Create application')
  await page.sees('Give the application a name.')
  expect(calls).toHaveLength(0)
})

test('asks before a secret that nobody stored is lost', async () => {
  answers(() => HttpResponse.json(created, { status: 201 }))
  const page = await visit('/admin/applications/new')
  await page.fill('Name', 'Acme CRM')
  await page.press('Create application')
  await page.sees('shown-only-now')
  void page.router.push('/account')
  await page.sees('You have not copied or downloaded the secret.')
  expect(page.router.currentRoute.value.path).toBe('/admin/applications/new')
})
