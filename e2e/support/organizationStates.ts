import { expect } from '@playwright/test'
import { refused } from './watch'
import { asPerson, button, type State, type World } from './world'

/** Makes the person a member of so many organizations; the first is theirs alone. */
async function memberOf({ server, person }: World, count: number) {
  await server.organization(person, 'Acme')
  const owner = await server.person('Grace Hopper')
  for (const name of ['Globex Corporation', 'Initech', ...'ABCDEFGH'].slice(0, count - 1))
    await server.addMember(await server.organization(owner, name), person, 'admin')
}

/** Begins a sign-in for which the organization matters. */
async function beginForOrganization(world: World) {
  const { client, server } = world
  await server.administer('PATCH', `/applications/${client.application.id}`, { scopes: ['openid', 'profile', 'org'] })
  await world.signInAs(world.person)
  await client.begin(world.page, { scope: 'openid profile org' })
}

async function invitationFor({ server, person }: World, email = person.email) {
  return server.invite(
    await server.organization(await server.person('Grace Hopper'), 'Wayne Enterprises'),
    email,
    'admin',
  )
}

/** What people meet who belong to organizations, or are invited to one. */
export const organizationStates: State[] = [
  {
    name: 'select-organization',
    open: async (world) => {
      await memberOf(world, 3)
      await beginForOrganization(world)
      await world.page.getByText('Initech').first().click()
      await expect(button(world, world.t('common.continue'))).toBeEnabled()
    },
  },
  {
    name: 'select-organization among many',
    open: async (world) => {
      await memberOf(world, 10)
      await beginForOrganization(world)
      await world.page.getByRole('searchbox').fill('there is no such thing')
      await expect(world.page.getByText(world.t('auth.organization.noMatch'))).toBeVisible()
    },
  },
  {
    name: 'consent for an organization',
    open: async (world) => {
      await memberOf(world, 2)
      await beginForOrganization(world)
      await world.page.getByText('Globex Corporation').click()
      await button(world, world.t('common.continue')).click()
      await expect(button(world, world.t('auth.acting.changeOrganization'))).toBeVisible()
    },
  },
  {
    name: 'invitation for somebody who is signed out',
    open: async (world) => {
      await world.page.goto(await invitationFor(world))
      await expect(world.page.getByText(world.t('auth.invitation.waitingTitle'))).toBeVisible()
    },
  },
  {
    name: 'invitation',
    open: async (world) => {
      await asPerson(world, await invitationFor(world))
      await expect(button(world, world.t('auth.invitation.accept'))).toBeVisible()
    },
  },
  {
    name: 'invitation about to be declined',
    open: async (world) => {
      await asPerson(world, await invitationFor(world))
      await button(world, world.t('auth.invitation.decline')).click()
      await expect(world.page.getByText(world.t('auth.invitation.declineTitle'))).toBeVisible()
    },
  },
  {
    name: 'invitation that was accepted',
    open: async (world) => {
      await asPerson(world, await invitationFor(world))
      await button(world, world.t('auth.invitation.accept')).click()
      await expect(world.page.getByText(world.t('auth.invitation.toOrganizations'))).toBeVisible()
    },
  },
  {
    name: 'invitation for somebody else',
    allow: [refused(403)],
    open: async (world) => {
      await asPerson(world, await invitationFor(world, 'somebody.else@example.com'))
      await expect(world.page.getByText(world.t('auth.invitation.foreign.title'))).toBeVisible()
    },
  },
  {
    name: 'invitation that is no longer good',
    allow: [refused(400), refused(404)],
    open: async (world) => {
      await asPerson(world, '/accept-invitation?id=unknown')
      await expect(world.page.getByText(world.t('auth.invitation.gone.title'))).toBeVisible()
    },
  },
  {
    name: 'organizations',
    open: async (world) => {
      const { page, person, server } = world
      await memberOf(world, 3)
      await server.administer('PATCH', `/users/${person.id}`, { emailVerified: true }) // else no invitation is listed
      await invitationFor(world)
      await asPerson(world, '/account/organizations')
      await button(world, world.t('account.organizations.makeDefaultNamed', { name: 'Acme' })).click()
      await expect(button(world, world.t('account.organizations.noDefault'))).toBeVisible()
      await page.reload() // without the toast
      await expect(page.getByText(world.t('account.organizations.invitations'), { exact: true })).toBeVisible()
    },
  },
  {
    name: 'organizations, none',
    open: async (world) => {
      await asPerson(world, '/account/organizations')
      await expect(world.page.getByText(world.t('account.organizations.emptyTitle'))).toBeVisible()
    },
  },
  {
    name: 'organizations, the only owner about to leave',
    allow: [refused(400)],
    open: async (world) => {
      await memberOf(world, 1)
      await asPerson(world, '/account/organizations')
      await button(world, world.t('account.organizations.leaveNamed', { name: 'Acme' })).click()
      await button(world, world.t('account.organizations.leave')).click()
      const reason = world.t('errors.YOU_CANNOT_LEAVE_THE_ORGANIZATION_AS_THE_ONLY_OWNER')
      await expect(world.page.getByText(reason)).toBeVisible()
    },
  },
]
