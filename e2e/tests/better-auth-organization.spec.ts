import { createAuthClient } from 'better-auth/client'
import { organizationClient } from 'better-auth/client/plugins'
import { expect, test } from '../support/fixtures'
import { Jar } from '../support/jar'
import { unique, type AuthServer, type Person } from '../support/server'

// Applications of the replaced system manage organizations through this plugin, so the routes have to satisfy it unchanged.
async function clientOf(server: AuthServer, person: { email: string; password: string }) {
  const client = createAuthClient({
    baseURL: server.issuer,
    plugins: [organizationClient()],
    fetchOptions: { customFetchImpl: new Jar(server.origin).fetch },
  })
  const { error } = await client.signIn.email({ email: person.email, password: person.password })
  expect(error).toBeNull()
  return client
}

type Client = Awaited<ReturnType<typeof clientOf>>

/** What a call came to; it has to have succeeded. */
function got<T>({ data, error }: { data: T; error: unknown }): NonNullable<T> {
  expect(error).toBeNull()
  return data as NonNullable<T>
}

/** Makes an organization of which the person is the owner, and returns it with the clients of the administrator and the person. */
async function founded(server: AuthServer, person: Person) {
  const operator = await clientOf(server, server.admin)
  const slug = unique('acme')
  const organization = got(await operator.organization.create({ name: 'Acme', slug, metadata: { tier: 'gold' } }))
  const owner = await clientOf(server, person)
  await join(operator, owner, organization.id, person.email, 'owner')
  return { operator, owner, organization, slug }
}

async function join(manager: Client, client: Client, organizationId: string, email: string, role: 'owner' | 'member') {
  const invitation = got(await manager.organization.inviteMember({ email, role, organizationId }))
  return got(await client.organization.acceptInvitation({ invitationId: invitation.id }))
}

async function activeOrganization(client: Client) {
  return (await client.getSession()).data?.session.activeOrganizationId
}

test('administrators create and delete organizations, members see and choose them', async ({ server, person }) => {
  const operator = await clientOf(server, server.admin)
  const slug = unique('acme')
  expect(got(await operator.organization.checkSlug({ slug }))).toEqual({ status: true })
  const created = got(await operator.organization.create({ name: 'Acme', slug, metadata: { tier: 'gold' } }))
  expect(created).toMatchObject({ name: 'Acme', slug, logo: null, metadata: { tier: 'gold' } })
  expect(created.members).toHaveLength(1)
  expect(created.members[0]).toMatchObject({ role: 'owner', organizationId: created.id })
  expect(await activeOrganization(operator)).toBe(created.id)
  expect((await operator.organization.checkSlug({ slug })).error).toMatchObject({
    status: 400,
    code: 'ORGANIZATION_SLUG_ALREADY_TAKEN',
  })
  const twice = await operator.organization.create({ name: 'Acme', slug })
  expect(twice.error).toMatchObject({ status: 400, code: 'ORGANIZATION_ALREADY_EXISTS' })
  const second = got(
    await operator.organization.create({ name: 'B', slug: unique('b'), keepCurrentActiveOrganization: true }),
  )
  expect(await activeOrganization(operator)).toBe(created.id)

  const member = await clientOf(server, person)
  const denied = await member.organization.create({ name: 'Mine', slug: unique('mine') })
  expect(denied.error).toMatchObject({ status: 403, code: 'YOU_ARE_NOT_ALLOWED_TO_CREATE_A_NEW_ORGANIZATION' })
  expect(got(await member.organization.list())).toEqual([])
  expect((await member.organization.getFullOrganization()).data).toBeNull()
  expect((await member.organization.setActive({ organizationId: created.id })).error).toMatchObject({
    status: 403,
    code: 'USER_IS_NOT_A_MEMBER_OF_THE_ORGANIZATION',
  })
  await join(operator, member, created.id, person.email, 'member')
  expect(await activeOrganization(member)).toBe(created.id)
  expect(got(await member.organization.list())).toMatchObject([{ id: created.id, role: 'member' }])
  const none = await member.organization.setActive({ organizationId: null })
  expect([none.data, none.error]).toEqual([null, null])
  expect(await activeOrganization(member)).toBeNull()
  const chosen = got(await member.organization.setActive({ organizationSlug: slug }))
  expect(chosen).toMatchObject({ id: created.id, metadata: { tier: 'gold' } })
  expect(await activeOrganization(member)).toBe(created.id)
  const full = got(await member.organization.getFullOrganization({ query: { membersLimit: 1 } }))
  expect(full.members).toHaveLength(1)
  expect(full.createdAt).toBeInstanceOf(Date)
  expect(full.invitations).toEqual([])

  const forbidden = await member.organization.delete({ organizationId: created.id })
  expect(forbidden.error).toMatchObject({ status: 403, code: 'YOU_ARE_NOT_ALLOWED_TO_DELETE_THIS_ORGANIZATION' })
  expect(got(await operator.organization.delete({ organizationId: created.id }))).toMatchObject({ id: created.id })
  expect(await activeOrganization(member)).toBeNull()
  got(await operator.organization.delete({ organizationId: second.id }))
})

test('owners run their organization and its members', async ({ server, person }) => {
  const { owner, organization, slug } = await founded(server, person)
  const another = await server.person('Grace Hopper')
  const member = await clientOf(server, another)
  await join(owner, member, organization.id, another.email, 'member')

  const updated = got(await owner.organization.update({ data: { name: 'Acme Inc.', metadata: { tier: 'platinum' } } }))
  expect(updated).toMatchObject({ id: organization.id, name: 'Acme Inc.', metadata: { tier: 'platinum' } })
  const refused = await member.organization.update({ organizationId: organization.id, data: { name: 'Mine' } })
  expect(refused.error).toMatchObject({ status: 403, code: 'YOU_ARE_NOT_ALLOWED_TO_UPDATE_THIS_ORGANIZATION' })

  const page = got(await owner.organization.listMembers({ query: { limit: 2, offset: 1, sortBy: 'createdAt' } }))
  expect(page.total).toBe(3)
  expect(page.members.map(({ user }) => user.email)).toEqual([person.email, another.email])
  const owners = await owner.organization.listMembers({
    query: { organizationSlug: slug, filterField: 'role', filterOperator: 'eq', filterValue: 'owner' },
  })
  expect(got(owners).total).toBe(2)

  const own = got(await member.organization.getActiveMember())
  expect(own).toMatchObject({
    role: 'member',
    userId: another.id,
    user: { email: another.email, name: 'Grace Hopper' },
  })
  expect(got(await member.organization.getActiveMemberRole())).toEqual({ role: 'member' })
  const theirs = await member.organization.getActiveMemberRole({ query: { userId: person.id } })
  expect(got(theirs)).toEqual({ role: 'owner' })
  const update = { organization: ['update' as const] }
  expect(got(await owner.organization.hasPermission({ permissions: update }))).toEqual({ error: null, success: true })
  expect(got(await member.organization.hasPermission({ permissions: update })).success).toBe(false)

  const promoted = await owner.organization.updateMemberRole({ memberId: own.id, role: ['member', 'admin'] })
  expect(got(promoted)).toMatchObject({ id: own.id, role: 'admin' })
  expect(got(await member.organization.hasPermission({ permissions: update })).success).toBe(true)
  const climbing = await member.organization.updateMemberRole({ memberId: own.id, role: 'owner' })
  expect(climbing.error).toMatchObject({ status: 403, code: 'YOU_ARE_NOT_ALLOWED_TO_UPDATE_THIS_MEMBER' })
  const unknown = await owner.organization.updateMemberRole({ memberId: own.id, role: 'root' as 'admin' })
  expect(unknown.error).toMatchObject({ status: 400, code: 'ROLE_NOT_FOUND' })

  const removed = got(await owner.organization.removeMember({ memberIdOrEmail: another.email }))
  expect(removed.member).toMatchObject({ id: own.id, userId: another.id })
  expect((await member.organization.getActiveMember()).error).toMatchObject({ code: 'NO_ACTIVE_ORGANIZATION' })
  expect(got(await owner.organization.leave({ organizationId: organization.id }))).toMatchObject({ role: 'owner' })
  expect(await activeOrganization(owner)).toBeNull()
})

test('invitations are sent, seen, accepted, rejected and canceled', async ({ server, person }) => {
  const { operator, owner, organization, slug } = await founded(server, person)
  const invited = await server.person('Katherine Johnson')
  const client = await clientOf(server, invited)
  const invitation = got(await owner.organization.inviteMember({ email: invited.email, role: 'member' }))
  expect(invitation).toMatchObject({ email: invited.email, role: 'member', status: 'pending', inviterId: person.id })
  const again = await owner.organization.inviteMember({ email: invited.email, role: 'member' })
  expect(again.error).toMatchObject({ status: 400, code: 'USER_IS_ALREADY_INVITED_TO_THIS_ORGANIZATION' })
  const resent = await owner.organization.inviteMember({ email: invited.email, role: ['admin'], resend: true })
  expect(got(resent)).toMatchObject({ id: invitation.id, role: 'admin' })
  const sent = got(await owner.organization.listInvitations())
  expect(sent.find(({ id }) => id === invitation.id)).toMatchObject({ email: invited.email, status: 'pending' })

  // Whoever did not prove to own the address needs the link.
  expect(got(await client.organization.listUserInvitations())).toEqual([])
  await server.administer('PATCH', `/users/${invited.id}`, { emailVerified: true })
  expect(got(await client.organization.listUserInvitations())).toMatchObject([
    { id: invitation.id, organizationName: 'Acme' },
  ])
  const opened = got(await client.organization.getInvitation({ query: { id: invitation.id } }))
  expect(opened).toMatchObject({ organizationName: 'Acme', organizationSlug: slug, inviterEmail: person.email })
  expect(opened.expiresAt).toBeInstanceOf(Date)
  const astray = await operator.organization.getInvitation({ query: { id: invitation.id } })
  expect(astray.error).toMatchObject({ status: 403, code: 'YOU_ARE_NOT_THE_RECIPIENT_OF_THE_INVITATION' })

  const rejected = got(await client.organization.rejectInvitation({ invitationId: invitation.id }))
  expect(rejected).toMatchObject({ invitation: { status: 'rejected' }, member: null })
  const second = got(await owner.organization.inviteMember({ email: invited.email, role: 'member' }))
  const canceled = got(await owner.organization.cancelInvitation({ invitationId: second.id }))
  expect(canceled).toMatchObject({ id: second.id, status: 'canceled' })
  const late = await client.organization.acceptInvitation({ invitationId: second.id })
  expect(late.error).toMatchObject({ status: 400, code: 'INVITATION_NOT_FOUND' })

  const accepted = await join(owner, client, organization.id, invited.email, 'member')
  expect(accepted.invitation).toMatchObject({ status: 'accepted' })
  expect(accepted.member).toMatchObject({ userId: invited.id, organizationId: organization.id, role: 'member' })
  expect(await activeOrganization(client)).toBe(organization.id)
  const managers = await client.organization.listInvitations()
  expect(managers.error).toMatchObject({ status: 403 })
})
