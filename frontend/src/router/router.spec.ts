import { HttpResponse, http } from 'msw'
import { expect, test, vi } from 'vitest'
import { ada, problem, server, signedInAs } from '@/testing/server'
import { visit } from '@/testing/visit'
import { leave } from './leave'
import { returnPath } from './returnTo'

test('a signed-out visitor signs in first and comes back', async () => {
  const page = await visit('/account/sessions?x=1')
  expect(page.router.currentRoute.value.path).toBe('/sign-in')
  expect(page.router.currentRoute.value.query.return_to).toBe('/account/sessions?x=1')
})

test('?request= opens no page that needs a session', async () => {
  const page = await visit('/account?request=r1')
  expect(page.router.currentRoute.value.path).toBe('/sign-in')
})

test('a person who is signed in is not asked again', async () => {
  signedInAs(ada)
  const page = await visit('/sign-in?return_to=/account/security')
  expect(page.router.currentRoute.value.path).toBe('/account/security')
})

test('a server that is away is not mistaken for being signed out', async () => {
  server.use(http.get('*/api/auth/get-session', () => problem(503, 'UNAVAILABLE')))
  const page = await visit('/account')
  await page.sees('The service is temporarily unavailable.')
  signedInAs(ada)
  server.use(http.get('*/api/auth/oauth2/consents', () => HttpResponse.json([])))
  await page.press('Try again')
  await page.sees('How applications that you allow see you.')
})

test('an unknown address says so', async () => {
  const page = await visit('/no/such/page')
  await page.sees('There is nothing at this address.')
})

// An open redirector behind a trusted sign-in page is a phisher's wish (RFC 9700 §4.11.1).
test.each([
  ['https://evil.example/', '/account'],
  ['//evil.example/', '/account'],
  ['/\\evil.example/', '/account'],
  ['/\t/evil.example/', '/account'],
  ['javascript:alert(1)', '/account'],
  ['/api/auth/sign-out', '/account'],
  [undefined, '/account'],
  [['/account/security', '//evil.example'], '/account'],
  ['/account/security?a=b#c', '/account/security?a=b#c'],
])('return_to %o leads to %s', (asked, path) => {
  expect(returnPath(asked)).toBe(path)
})

test.each([
  'javascript:alert(1)',
  ' JavaScript:alert(1)',
  'java\nscript:alert(1)',
  'data:text/html,<script>alert(1)</script>',
  'vbscript:x',
  'blob:http://idp.test/1',
])('never opens %o', (address) => {
  const assign = vi.spyOn(location, 'assign').mockImplementation(() => {})
  expect(() => leave(address)).toThrow('refusing')
  expect(assign).not.toHaveBeenCalled()
})

test.each([
  'https://crm.example.com/cb?code=1',
  'com.example.app:/cb?code=1',
  'http://127.0.0.1:5555/cb',
  '/signed-out',
])('opens %s as it is', (address) => {
  const assign = vi.spyOn(location, 'assign').mockImplementation(() => {})
  leave(address)
  expect(assign).toHaveBeenCalledWith(address)
})
