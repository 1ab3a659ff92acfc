import { http, HttpResponse } from 'msw'
import { expect, test, vi } from 'vitest'
import { ada, authorization, problem, requestUser, server } from '@/testing/server'
import { visit } from '@/testing/visit'

function waiting(redirectTo: string) {
  const sent = vi.fn()
  const request = authorization({ next: 'consent', user: requestUser })
  server.use(
    http.get('*/api/auth/oauth2/requests/r1', () => HttpResponse.json(request)),
    http.post('*/api/auth/oauth2/requests/r1/consent', async ({ request: call }) => {
      sent(await call.json())
      return HttpResponse.json({ ...request, next: null, redirectTo })
    }),
  )
  return sent
}

test('shows who asks, for what, and where the person goes next', async () => {
  waiting('https://crm.example.com/cb')
  const page = await visit('/consent?request=r1')
  await page.sees('Acme CRM wants to access your account')
  for (const words of [
    'Know who you are',
    'See your e-mail address',
    'Read your invoices',
    'crm.example.com',
    ada.email,
  ]) {
    expect(page.text()).toContain(words)
  }
})

test('allows what is ticked and returns to the application', async () => {
  const assign = vi.spyOn(location, 'assign').mockImplementation(() => {})
  const sent = waiting('https://crm.example.com/cb?code=1')
  const page = await visit('/consent?request=r1')
  await page.sees('Read your invoices')
  document.querySelector<HTMLElement>('[role=checkbox]')?.click() // e-mail: openid has no box
  await page.press('Allow')
  await vi.waitFor(() => expect(assign).toHaveBeenCalledWith('https://crm.example.com/cb?code=1'))
  expect(sent).toHaveBeenCalledWith({ accept: true, scopes: ['openid', 'invoice:read'] })
})

test('refuses', async () => {
  vi.spyOn(location, 'assign').mockImplementation(() => {})
  const sent = waiting('https://crm.example.com/cb?error=access_denied')
  const page = await visit('/consent?request=r1')
  await page.press('Cancel')
  await vi.waitFor(() => expect(sent).toHaveBeenCalledWith({ accept: false }))
})

test('hands over to a native application and says so, because the browser stays', async () => {
  const assign = vi.spyOn(location, 'assign').mockImplementation(() => {})
  waiting('com.example.app:/cb?code=1')
  const page = await visit('/consent?request=r1')
  await page.press('Allow')
  await page.sees('Continue in the application')
  expect(assign).toHaveBeenCalledWith('com.example.app:/cb?code=1')
})

test('says that another tab has answered already', async () => {
  waiting('https://crm.example.com/cb')
  server.use(http.post('*/api/auth/oauth2/requests/r1/consent', () => problem(410, 'REQUEST_COMPLETED')))
  const page = await visit('/consent?request=r1')
  await page.press('Allow')
  await page.sees('This sign-in request has already been answered.')
})

test('sends a person who must sign in first to sign in', async () => {
  server.use(http.get('*/api/auth/oauth2/requests/r1', () => HttpResponse.json(authorization({ next: 'sign_in' }))))
  const page = await visit('/consent?request=r1')
  await vi.waitFor(() => expect(page.router.currentRoute.value.fullPath).toBe('/sign-in?request=r1'))
})
