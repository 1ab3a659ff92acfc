import { createAuthClient } from 'better-auth/client'
import { expect, test } from '../support/fixtures'
import { Jar } from '../support/jar'
import { bundle } from '../support/relying/bundle'
import { Site } from '../support/relying/site'
import { AuthServer, unique } from '../support/server'

// Applications of the replaced system keep its client library, so the account routes have to satisfy it unchanged.
function browserOf(server: AuthServer) {
  const jar = new Jar(server.origin)
  return createAuthClient({ baseURL: server.issuer, fetchOptions: { customFetchImpl: jar.fetch } })
}

const newcomer = () => ({
  name: 'Grace Hopper',
  email: `${unique('grace')}@example.com`,
  password: 'a compiler is a program',
})

test('better-auth/client signs up, in and out, and knows who is signed in', async ({ server }) => {
  const client = browserOf(server)
  const person = newcomer()
  const created = await client.signUp.email(person)
  expect(created.error).toBeNull()
  expect(created.data?.user).toMatchObject({ name: person.name, email: person.email, emailVerified: false })

  const current = await client.getSession()
  expect(current.data?.user.email).toBe(person.email)
  expect(current.data?.session.userId).toBe(created.data?.user.id)

  expect((await client.signOut()).data).toEqual({ success: true })
  expect((await client.getSession()).data).toBeNull()

  const wrong = await client.signIn.email({ email: person.email, password: 'a guess at it' })
  expect(wrong.error).toMatchObject({ status: 401, code: 'INVALID_EMAIL_OR_PASSWORD' })
  const right = await client.signIn.email({ email: person.email, password: person.password })
  expect(right.data?.user.email).toBe(person.email)
  const taken = await client.signUp.email(person)
  expect(taken.error).toMatchObject({ status: 422, code: 'USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL' })
})

test('better-auth/client lists and ends sessions', async ({ server }) => {
  const person = newcomer()
  const [desktop, phone, tablet] = [browserOf(server), browserOf(server), browserOf(server)]
  await desktop.signUp.email(person)
  await phone.signIn.email(person)
  await tablet.signIn.email(person)
  expect((await desktop.listSessions()).data).toHaveLength(3)

  const phones = (await phone.getSession()).data?.session.token ?? ''
  expect((await desktop.revokeSession({ token: phones })).data).toEqual({ status: true })
  expect((await phone.getSession()).data).toBeNull()
  expect((await tablet.getSession()).data?.user.email).toBe(person.email)

  expect((await desktop.revokeOtherSessions()).data).toEqual({ status: true })
  expect((await tablet.getSession()).data).toBeNull()
  expect((await desktop.listSessions()).data).toHaveLength(1)
})

test('better-auth/client changes the profile and the password, and deletes the account', async ({ server }) => {
  const person = newcomer()
  const [client, other] = [browserOf(server), browserOf(server)]
  await client.signUp.email(person)
  await other.signIn.email(person)
  expect((await client.updateUser({ name: 'Rear Admiral Hopper' })).data).toEqual({ status: true })
  expect((await client.getSession()).data?.user.name).toBe('Rear Admiral Hopper')

  const guess = await client.changePassword({ currentPassword: 'not this one', newPassword: 'nanoseconds of wire' })
  expect(guess.error).toMatchObject({ status: 400, code: 'INVALID_PASSWORD' })
  const changed = await client.changePassword({
    currentPassword: person.password,
    newPassword: 'nanoseconds of wire',
    revokeOtherSessions: true,
  })
  expect(changed.data?.user.email).toBe(person.email)
  expect((await client.getSession()).data?.user.email).toBe(person.email)
  expect((await other.getSession()).data).toBeNull()

  expect((await client.deleteUser({ password: person.password })).error).toMatchObject({ code: 'INVALID_PASSWORD' })
  expect((await client.deleteUser({ password: 'nanoseconds of wire' })).data).toMatchObject({ success: true })
  expect((await client.getSession()).data).toBeNull()
  const gone = await client.signIn.email({ email: person.email, password: 'nanoseconds of wire' })
  expect(gone.error).toMatchObject({ status: 401, code: 'INVALID_EMAIL_OR_PASSWORD' })
})

test('better-auth/client works in a page of a configured origin, and in no other', async ({ page, watch }) => {
  const script = await bundle('account.ts')
  const handler = (url: URL) =>
    url.pathname === '/account.js'
      ? { headers: { 'Content-Type': 'text/javascript' }, body: script }
      : {
          body: '<!doctype html><html lang="en"><title>Portal</title><link rel="icon" href="data:,"><h1>…</h1><script type="module" src="/account.js"></script></html>',
        }
  // The cookie is SameSite=Lax, so the page has to be of the server's site: another port of the same host.
  const [trusted, stranger] = [await Site.start(handler, 'localhost'), await Site.start(handler, 'localhost')]
  const server = await AuthServer.start({ AUTH_CORS_ORIGINS: trusted.origin })
  const person = newcomer()
  interface Client {
    signUp: { email: (person: unknown) => Promise<{ error: unknown }> }
    getSession: () => Promise<{ data: { user: { email: string } } | null; error: unknown }>
  }
  const act = async (given: unknown) => {
    const { client } = window as unknown as { client: Client }
    const { error } = await client.signUp.email(given)
    const current = await client.getSession()
    return { failed: error !== null, email: current.data?.user.email }
  }

  await page.goto(`${trusted.origin}/?server=${server.origin}`)
  await expect(page.getByRole('heading')).toHaveText('Ready')
  expect(await page.evaluate(act, person)).toEqual({ failed: false, email: person.email })

  watch.allow(/CORS policy/, /ERR_FAILED/)
  await page.goto(`${stranger.origin}/?server=${server.origin}`)
  await expect(page.getByRole('heading')).toHaveText('Ready')
  await expect(page.evaluate(act, newcomer())).rejects.toThrow(/Failed to fetch/)
  await Promise.all([server.stop(), trusted.stop(), stranger.stop()])
})
