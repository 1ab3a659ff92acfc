import { http, HttpResponse } from 'msw'
import { expect, test, vi } from 'vitest'
import { ada, problem, server, signedInAs } from '@/testing/server'
import { visit } from '@/testing/visit'

test('counts the characters that the password still needs, and refuses a short one', async () => {
  const page = await visit('/register')
  await page.fill('Password', 'seven77')
  expect(page.text()).toContain('1 more character needed')
  await page.fill('Name', 'Ada Lovelace')
  await page.fill('E-mail address', ada.email)
  await page.submit()
  await page.sees('Use at least 8 characters.')
})

test('creates the account and signs in', async () => {
  const sent = vi.fn()
  server.use(
    http.post('*/api/auth/sign-up/email', async ({ request }) => {
      sent(await request.json())
      signedInAs(ada)
      return HttpResponse.json({ token: null, user: ada })
    }),
  )
  const page = await visit('/register')
  await page.fill('Name', ' Ada Lovelace ')
  await page.fill('E-mail address', ada.email)
  await page.fill('Password', 'correct horse')
  await page.submit()
  await page.sees('How applications that you allow see you.')
  expect(sent).toHaveBeenCalledWith({ name: 'Ada Lovelace', email: ada.email, password: 'correct horse' })
})

test('says that the address is taken', async () => {
  server.use(http.post('*/api/auth/sign-up/email', () => problem(422, 'USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL')))
  const page = await visit('/register')
  await page.fill('Name', 'Ada')
  await page.fill('E-mail address', ada.email)
  await page.fill('Password', 'correct horse')
  await page.submit()
  await page.sees('An account with this e-mail address exists already.')
})
