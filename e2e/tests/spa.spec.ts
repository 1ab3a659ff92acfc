import { expect, test } from '../support/fixtures'
import { allow, signIn } from '../support/pages'
import { startSPA } from '../support/relying/spa'
import { refused } from '../support/watch'

test('a public client in the browser signs in, calls by CORS, refreshes and revokes', async ({
  page,
  person,
  server,
  watch,
}) => {
  watch.allow(refused(400))
  const { site, application } = await startSPA(server)
  const heading = page.getByRole('heading')
  await page.goto(site.origin)
  await page.getByRole('button', { name: 'sign-in' }).click()
  await signIn(page, person)
  await allow(page, application.name)
  await expect(heading).toHaveText(`Signed in as ${person.id}`)
  await page.getByRole('button', { name: 'userinfo' }).click()
  await expect(heading).toHaveText(`This is ${person.name}`)
  await page.getByRole('button', { name: 'refresh' }).click()
  await expect(heading).toHaveText('Refreshed')
  await page.getByRole('button', { name: 'revoke' }).click()
  await expect(heading).toHaveText('Revoked')
  await page.getByRole('button', { name: 'refresh' }).click()
  await expect(heading).toHaveText('Refused: invalid_grant')
  await site.stop()
})

// The answer holds tokens, so scripts of other sites must not read it, even with a code of the right client in hand.
test('a page of another origin cannot read what the token endpoint answers', async ({ page, server, watch }) => {
  watch.allow(/blocked by CORS policy/, /ERR_FAILED/, refused(400))
  const { site, application } = await startSPA(server)
  const elsewhere = await startSPA(server)
  const ask = ([issuer, id]: string[]) =>
    fetch(`${issuer}/oauth2/token`, {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'authorization_code',
        code: 'x',
        redirect_uri: 'y',
        client_id: id ?? '',
      }),
    }).then(
      (answer) => answer.status,
      () => 'unreadable',
    )
  await page.goto(site.origin)
  expect(await page.evaluate(ask, [server.issuer, application.clientId])).toBe(400)
  await page.goto(elsewhere.site.origin)
  expect(await page.evaluate(ask, [server.issuer, application.clientId])).toBe('unreadable')
  await site.stop()
  await elsewhere.site.stop()
})
