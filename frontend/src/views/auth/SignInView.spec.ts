import { http, HttpResponse } from 'msw'
import { expect, test, vi } from 'vitest'
import { ada, authorization, problem, server, signedInAs } from '@/testing/server'
import { visit } from '@/testing/visit'

async function enterEmail(page: Awaited<ReturnType<typeof visit>>, email = ada.email) {
  await page.fill('E-mail address', email)
  await page.submit()
}

test('asks for the e-mail address, then for the password, and keeps the address in sight', async () => {
  const page = await visit('/sign-in')
  expect(document.title).toBe('Sign in · CIRCLE Auth')
  await enterEmail(page, 'not an address')
  await page.sees('Enter a valid e-mail address')
  await enterEmail(page)
  await page.sees('Keep me signed in')
  expect(page.field('E-mail address').value).toBe(ada.email)
  expect(page.field('E-mail address').readOnly).toBe(true)
  expect(page.field('Password').type).toBe('password')

  await page.press('Change')
  expect(page.field('E-mail address').readOnly).toBe(false)
})

test('signs in and goes to the page that was asked for', async () => {
  const sent = vi.fn()
  server.use(
    http.post('*/api/auth/sign-in/email', async ({ request }) => {
      sent(await request.json())
      signedInAs(ada)
      return HttpResponse.json({ user: ada })
    }),
  )
  const page = await visit('/sign-in?return_to=/account/security')
  await enterEmail(page)
  await page.fill('Password', 'correct horse')
  await page.submit()
  await page.sees('Change password')
  expect(sent).toHaveBeenCalledWith({ email: ada.email, password: 'correct horse', rememberMe: true })
  expect(page.router.currentRoute.value.fullPath).toBe('/account/security')
})

test('says that the password is wrong, empties it and lets the person try again', async () => {
  server.use(http.post('*/api/auth/sign-in/email', () => problem(401, 'INVALID_EMAIL_OR_PASSWORD')))
  const page = await visit('/sign-in')
  await enterEmail(page)
  await page.fill('Password', 'wrong')
  await page.submit()
  await page.sees('The e-mail address or the password is wrong.')
  expect(page.field('Password').value).toBe('')
  expect(document.activeElement).toBe(page.field('Password'))
})

test('says how long to wait when there were too many attempts', async () => {
  server.use(http.post('*/api/auth/sign-in/email', () => problem(429, 'TOO_MANY_REQUESTS', { 'Retry-After': '120' })))
  const page = await visit('/sign-in')
  await enterEmail(page)
  await page.fill('Password', 'wrong')
  await page.submit()
  await page.sees('Try again in 2 minutes.')
})

test('continues the authorization request with what the server says is next', async () => {
  let next: 'sign_in' | 'consent' = 'sign_in'
  server.use(
    http.get('*/api/auth/oauth2/requests/r1', () => HttpResponse.json(authorization({ next }))),
    http.post('*/api/auth/sign-in/email', () => {
      next = 'consent'
      signedInAs(ada)
      return HttpResponse.json({ user: ada })
    }),
  )
  const page = await visit('/sign-in?request=r1')
  await page.sees('to continue to Acme CRM')
  await enterEmail(page)
  await page.fill('Password', 'correct horse')
  await page.submit()
  await page.sees('Acme CRM wants to access your account')
  expect(page.router.currentRoute.value.fullPath).toBe('/consent?request=r1')
})

test('asks a person whom the application named only for the password', async () => {
  const request = authorization({ loginHint: ada.email })
  server.use(http.get('*/api/auth/oauth2/requests/r1', () => HttpResponse.json(request)))
  const page = await visit('/sign-in?request=r1')
  await page.sees('Keep me signed in')
  expect(page.field('E-mail address').value).toBe(ada.email)
  expect(page.field('Password').value).toBe('')
})

test('goes back to the application when the person cancels', async () => {
  const assign = vi.spyOn(location, 'assign').mockImplementation(() => {})
  server.use(
    http.get('*/api/auth/oauth2/requests/r1', () => HttpResponse.json(authorization())),
    http.post('*/api/auth/oauth2/requests/r1/cancel', () =>
      HttpResponse.json({ redirectTo: 'https://crm.example.com/cb?error=access_denied' }),
    ),
  )
  const page = await visit('/sign-in?request=r1')
  await page.press('Cancel and return to Acme CRM')
  await vi.waitFor(() => expect(assign).toHaveBeenCalledWith('https://crm.example.com/cb?error=access_denied'))
})

test('explains a request that has expired', async () => {
  server.use(http.get('*/api/auth/oauth2/requests/r1', () => problem(410, 'REQUEST_EXPIRED')))
  const page = await visit('/sign-in?request=r1')
  await page.sees('This sign-in request has expired.')
  await page.sees('start again from there')
})

test('speaks the language that the application asks for', async () => {
  const request = authorization({ uiLocales: ['fr-CA', 'en'] })
  server.use(http.get('*/api/auth/oauth2/requests/r1', () => HttpResponse.json(request)))
  const page = await visit('/sign-in?request=r1')
  await page.sees('pour continuer vers Acme CRM')
  expect(document.documentElement.lang).toBe('fr')
  expect(document.title).toBe('Connexion · CIRCLE Auth')
  await page.press('English')
  await page.sees('to continue to Acme CRM')
})
