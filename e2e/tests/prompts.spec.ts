import { expect, test } from '../support/fixtures'
import { allow, expectConsent, givePassword, signIn } from '../support/pages'
import { WebClient } from '../support/relying/web'

test.describe('prompt and max_age (OpenID Connect Core §3.1.2.1)', () => {
  test('none answers at once, with what is missing or with a code', async ({ page, server, person, signInAs }) => {
    const client = await WebClient.start(server)
    await client.begin(page, { prompt: 'none', state: 'a' })
    expect(await client.refused(page)).toEqual({ state: 'a', error: 'login_required' })
    await signInAs(person)
    await client.begin(page, { prompt: 'none', state: 'b' })
    expect(await client.refused(page)).toEqual({ state: 'b', error: 'consent_required' })
    await client.begin(page)
    await allow(page, client.application.name)
    await client.signedIn(page)
    await client.begin(page, { prompt: 'none', state: 'c' })
    expect(await client.signedIn(page)).toMatchObject({ state: 'c', claims: { sub: person.id } })
    await client.stop()
  })

  test('login asks for the password again, and knows whose', async ({ page, context, server, person, signInAs }) => {
    const client = await WebClient.start(server, { skipConsent: true })
    const cookie = async () => (await context.cookies(server.origin)).find(({ name }) => name === 'auth_session')?.value
    await signInAs(person)
    const before = await cookie()
    await client.begin(page, { prompt: 'login' })
    await expect(page.getByRole('textbox', { name: 'E-mail address' })).toHaveValue(person.email)
    await givePassword(page, person.password)
    expect((await client.signedIn(page)).claims.sub).toBe(person.id)
    // The session that a cookie opens is never the one from before the password was given (session fixation).
    expect(await cookie()).toBeTruthy()
    expect(await cookie()).not.toBe(before)
    await client.stop()
  })

  test('max_age asks again only when the sign-in is older', async ({ page, server, person, signInAs }) => {
    const client = await WebClient.start(server, { skipConsent: true })
    await signInAs(person)
    await client.begin(page, { max_age: '600' })
    expect((await client.signedIn(page)).claims.auth_time).toBeGreaterThan(0)
    await client.begin(page, { max_age: '0' })
    await givePassword(page, person.password)
    await client.signedIn(page)
    await client.stop()
  })

  test('consent asks again for what was allowed before', async ({ page, server, person, signInAs }) => {
    const client = await WebClient.start(server)
    await signInAs(person)
    await client.begin(page)
    await allow(page, client.application.name)
    await client.signedIn(page)
    await client.begin(page, { prompt: 'consent' })
    await expectConsent(page, client.application.name)
    await expect(page.getByText('Allowed before').first()).toBeVisible()
    await allow(page, client.application.name)
    await client.signedIn(page)
    await client.stop()
  })

  test('select_account lets the person stay or be somebody else', async ({ page, server, person, signInAs }) => {
    const client = await WebClient.start(server, { skipConsent: true })
    await signInAs(person)
    await client.begin(page, { prompt: 'select_account' })
    await page.getByRole('button', { name: person.email }).click()
    expect((await client.signedIn(page)).claims.sub).toBe(person.id)

    const other = await server.person('Charles Babbage')
    await client.begin(page, { prompt: 'select_account' })
    await page.getByRole('button', { name: 'Use another account' }).click()
    await signIn(page, other)
    expect((await client.signedIn(page)).claims.sub).toBe(other.id)
    await client.stop()
  })

  test('create begins with the register page, and continues to the client', async ({ page, server }) => {
    const client = await WebClient.start(server)
    await client.begin(page, { prompt: 'create', login_hint: `new-${Date.now()}@example.com` })
    await expect(page.getByRole('heading', { name: 'Create your account' })).toBeVisible()
    await page.getByLabel('Name', { exact: true }).fill('Mary Somerville')
    await page.getByLabel('Password', { exact: true }).fill('the connexion of the sciences')
    await page.getByRole('button', { name: 'Create account' }).click()
    await allow(page, client.application.name)
    expect((await client.signedIn(page)).claims.name).toBe('Mary Somerville')
    await client.stop()
  })

  test('the person whom the application expects has to be the one who signs in', async ({
    page,
    server,
    person,
    signInAs,
  }) => {
    const client = await WebClient.start(server, { skipConsent: true })
    await signInAs(person)
    await client.begin(page)
    const { idToken } = await client.signedIn(page)
    const other = await server.person()
    await signInAs(other)
    await client.begin(page, { id_token_hint: idToken, prompt: 'none', state: 'hint' })
    expect(await client.refused(page)).toEqual({ state: 'hint', error: 'login_required' })
    await client.stop()
  })
})
