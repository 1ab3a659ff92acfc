import type { Page } from '@playwright/test'
import { expect, test } from '../support/fixtures'
import { allow, expectConsent, signIn } from '../support/pages'
import { WebClient } from '../support/relying/web'
import { unique, type AuthServer, type Organization, type Person } from '../support/server'
import { refused } from '../support/watch'

const scope = 'openid org'
const scopes = ['openid', 'profile', 'email', 'org']

const radio = (page: Page, { name }: Organization) => page.getByRole('radio', { name })
const row = (page: Page, { name }: Organization) =>
  page.getByRole('main').getByRole('listitem').filter({ hasText: name })

/** Two organizations of which somebody is a member. Each has an owner of its own, so that anybody may leave. */
async function twoOrganizations(server: AuthServer, person: Person): Promise<[Organization, Organization]> {
  const owner = await server.person('Grace Hopper')
  const first = await server.organization(owner, unique('Acme'))
  const second = await server.organization(owner, unique('Globex'))
  await server.addMember(first, person, 'admin')
  await server.addMember(second, person)
  return [first, second]
}

test.describe('scope org', () => {
  test('asks for which organization, lets the person change it, and names it in the token', async ({
    page,
    server,
    person,
    signInAs,
  }) => {
    const [acme, globex] = await twoOrganizations(server, person)
    const client = await WebClient.start(server, { scopes })
    await signInAs(person)
    await client.begin(page, { scope })
    await expect(page.getByRole('heading', { name: 'Choose an organization' })).toBeVisible()
    await expect(page.getByRole('button', { name: 'Continue' })).toBeDisabled()
    await page.getByText(globex.name).click()
    await page.getByRole('button', { name: 'Continue' }).click()

    await expectConsent(page, client.application.name)
    await expect(page.getByText(`for ${globex.name}`)).toBeVisible()
    await page.getByRole('button', { name: 'Change the organization' }).click()
    await expect(radio(page, globex)).toBeChecked()
    await page.getByText(acme.name).click()
    await page.getByRole('button', { name: 'Continue' }).click()
    await expect(page.getByText(`for ${acme.name}`)).toBeVisible()
    await allow(page, client.application.name)
    const { claims } = await client.signedIn(page)
    expect(claims).toMatchObject({
      org_id: acme.id,
      org_slug: acme.slug,
      org_role: 'admin',
    })
    await client.stop()
  })

  test('the keyboard is enough to choose', async ({ page, server, person, signInAs }) => {
    const [acme, globex] = await twoOrganizations(server, person)
    const client = await WebClient.start(server, { scopes, skipConsent: true })
    await signInAs(person)
    await client.begin(page, { scope })
    await radio(page, acme).focus()
    await page.keyboard.press('Space')
    await expect(radio(page, acme)).toBeChecked()
    await page.keyboard.press('ArrowDown')
    await expect(radio(page, globex)).toBeFocused()
    await page.keyboard.press('Enter')
    expect((await client.signedIn(page)).claims.org_id).toBe(globex.id)
    await client.stop()
  })

  test('whoever has one organization is not asked', async ({ page, server, person, signInAs }) => {
    const only = await server.organization(person)
    const client = await WebClient.start(server, { scopes })
    await signInAs(person)
    await client.begin(page, { scope })
    await expectConsent(page, client.application.name)
    await expect(page.getByText(`for ${only.name}`)).toBeVisible()
    await expect(page.getByRole('button', { name: 'Change the organization' })).toHaveCount(0)
    await allow(page, client.application.name)
    expect((await client.signedIn(page)).claims).toMatchObject({
      org_id: only.id,
      org_role: 'owner',
    })
    await client.stop()
  })

  test('whoever has none goes on without', async ({ page, server, person, signInAs }) => {
    const client = await WebClient.start(server, { scopes })
    await signInAs(person)
    await client.begin(page, { scope })
    await allow(page, client.application.name)
    expect((await client.signedIn(page)).claims).not.toHaveProperty('org_id')
    await client.stop()
  })

  // A membership that ends while its organization is on the screen must not get into a token any more.
  test('an organization that the person has left meanwhile cannot be chosen', async ({
    page,
    server,
    person,
    signInAs,
    watch,
  }) => {
    const [acme, globex] = await twoOrganizations(server, person)
    await server.addMember(await server.organization(await server.person()), person)
    const client = await WebClient.start(server, { scopes, skipConsent: true })
    await signInAs(person)
    await client.begin(page, { scope })
    await page.getByText(globex.name).click()
    await server.administer('DELETE', `/organizations/${globex.id}/members/${person.id}`)
    watch.allow(refused(400))
    await page.getByRole('button', { name: 'Continue' }).click()
    await expect(page.getByRole('alert')).toHaveText(/You can no longer act for this organization/)
    await page.getByText(acme.name).click()
    await page.getByRole('button', { name: 'Continue' }).click()
    expect((await client.signedIn(page)).claims.org_id).toBe(acme.id)
    await client.stop()
  })
})

test.describe('an invitation', () => {
  test('brings somebody new through registration into the organization', async ({ page, server, person }) => {
    const organization = await server.organization(person)
    const email = `${unique('invited')}@example.com`
    await page.goto(await server.invite(organization, email, 'admin'))
    await expect(page.getByRole('heading', { name: 'An invitation is waiting for you' })).toBeVisible()
    await expect(page.getByText(organization.name)).toHaveCount(0)
    await page.getByRole('link', { name: 'Create account' }).click()
    await page.getByLabel('Name', { exact: true }).fill('Emmy Noether')
    await page.getByLabel('E-mail address').fill(email)
    await page.getByLabel('Password', { exact: true }).fill('symmetry and conservation')
    await page.getByRole('button', { name: 'Create account' }).click()

    await expect(page.getByRole('heading', { name: `Join ${organization.name}` })).toBeVisible()
    await expect(page.getByText('Administrator', { exact: true })).toBeVisible()
    await page.getByRole('button', { name: 'Accept' }).click()
    await expect(page.getByRole('heading', { name: `Welcome to ${organization.name}` })).toBeVisible()
    await page.getByRole('link', { name: 'See your organizations' }).click()
    await expect(row(page, organization)).toContainText('Administrator')
  })

  test('for somebody else offers to change the account, and goes on', async ({
    page,
    server,
    person,
    signInAs,
    watch,
  }) => {
    watch.allow(refused(403))
    const invited = await server.person('Sophie Germain')
    const organization = await server.organization(person)
    await signInAs(person)
    await page.goto(await server.invite(organization, invited.email))
    await expect(
      page.getByRole('heading', {
        name: 'This invitation is for somebody else',
      }),
    ).toBeVisible()
    await expect(page.getByText(person.email)).toBeVisible()
    await page.getByRole('button', { name: 'Use another account' }).click()
    await signIn(page, invited)
    await page.getByRole('button', { name: 'Accept' }).click()
    await expect(page.getByRole('heading', { name: `Welcome to ${organization.name}` })).toBeVisible()
  })

  test('that was declined is no longer good', async ({ page, server, person, signInAs, watch }) => {
    const organization = await server.organization(await server.person())
    const path = await server.invite(organization, person.email)
    await signInAs(person)
    await page.goto(path)
    await page.getByRole('button', { name: 'Decline' }).click()
    await expect(page.getByRole('heading', { name: 'Decline the invitation?' })).toBeVisible()
    await page.getByRole('button', { name: 'Decline' }).click()
    await expect(page.getByRole('heading', { name: 'Invitation declined' })).toBeVisible()
    watch.allow(refused(400), refused(404))
    await page.goto(path)
    await expect(page.getByRole('heading', { name: 'This invitation is no longer good' })).toBeVisible()
  })
})

test.describe('the page of organizations', () => {
  test('makes one the default, with which applications then begin', async ({ page, server, person, signInAs }) => {
    const [, globex] = await twoOrganizations(server, person)
    const client = await WebClient.start(server, { scopes })
    await signInAs(person)
    await page.goto('/account/organizations')
    await page.getByRole('button', { name: `Make default: ${globex.name}` }).click()
    await expect(row(page, globex)).toContainText('Default')
    await expect(row(page, globex).getByRole('button', { name: 'Ask each time' })).toBeVisible()
    await page.reload()
    await expect(row(page, globex)).toContainText('Default')
    await client.begin(page, { scope })
    await expect(page.getByText(`for ${globex.name}`)).toBeVisible()
    await page.getByRole('button', { name: 'Change the organization' }).click()
    await expect(radio(page, globex)).toBeChecked()
    await client.stop()
  })

  test('lets the person leave, and then applications do not offer it', async ({ page, server, person, signInAs }) => {
    const [acme, globex] = await twoOrganizations(server, person)
    const client = await WebClient.start(server, { scopes })
    await signInAs(person)
    await page.goto('/account/organizations')
    await page.getByRole('button', { name: `Leave ${globex.name}` }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Leave' }).click()
    await expect(page.getByText(`You left ${globex.name}`, { exact: true })).toBeVisible()
    await expect(row(page, globex)).toHaveCount(0)
    await client.begin(page, { scope })
    await expect(page.getByText(`for ${acme.name}`)).toBeVisible()
    await client.stop()
  })

  test('keeps the only owner, and says why', async ({ page, server, person, signInAs, watch }) => {
    watch.allow(refused(400))
    const { name } = await server.organization(person)
    await signInAs(person)
    await page.goto('/account/organizations')
    await page.getByRole('button', { name: `Leave ${name}` }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByRole('button', { name: 'Leave' }).click()
    await expect(dialog.getByRole('alert')).toHaveText(
      'You are its only owner. Make somebody else an owner before you leave.',
    )
    await dialog.getByRole('button', { name: 'Cancel' }).click()
    await expect(page.getByRole('heading', { name })).toBeVisible()
  })
})
